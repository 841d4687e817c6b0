//! Puts a node, a supernode, or both and the page together into one process, and takes them apart again.
//!
//! Decides nothing of its own beyond defaults: every part lives in its own module.

mod ceilings;
pub mod demo;
mod options;
mod reach;
mod ready;
mod secure;
mod system;

pub use ceilings::Ceilings;
pub use options::{Common, NodeOptions, Options, Role, SupernodeOptions, Tracked, UdpTracker};
pub use secure::Options as TlsOptions;

use crate::budget::Budget;
use crate::cli::Failure;
use crate::dht::{self, Dht};
use crate::fleet::{self, Fleet};
use crate::http::about::About;
use crate::http::pace::Pace;
use crate::http::page::Page;
use crate::http::{App, server};
use crate::mesh::{self, Mesh};
use crate::node::blocks::Blocks;
use crate::node::{Planting, client, identity, planting, register, report};
use crate::supernode::{Index, Supernode};
use crate::tracker::udp::UdpDoor;
use crate::tracker::{self, Proxies, Swarms, Tracker};
use anatomic_core::InfoHash;
use anatomic_core::address::Policy;
use anatomic_mesh::fleet::ProcessId;
use reach::{network_of, reachable_ip, udp_url};
use ready::Ready;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use system::{data_folder, lock, raise_open_files, stop_signal};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::warn;

/// How long requests that are being answered may take when the process ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often one address may plant, register or hand over in a minute.
const POSTS_PER_MINUTE: u32 = 120;

/// Runs the process until Ctrl-C or SIGTERM.
///
/// # Errors
/// What could not be started, why, and what to do.
pub async fn run(options: Options) -> Result<(), Failure> {
    raise_open_files();
    let stop = stop_signal()?;
    let folder = data_folder(options.common.data.as_deref(), options.role)?;
    let _lock = lock(&folder)?;
    let key_path = options.common.key.clone().unwrap_or_else(|| folder.join("key"));
    let fleet_servers = options.node.as_ref().map_or(&[][..], |node| &node.fleet);
    if !fleet_servers.is_empty() && options.common.key.is_none() {
        return Err(Failure::new(
            "--fleet needs --key FILE: all processes of a fleet share one key, so give each the same file",
        ));
    }
    let identity = identity::load_or_create(&key_path).map_err(|error| {
        Failure::new(format!("cannot read or make the key {}: {error}", key_path.display()))
    })?;

    let blocks = Blocks::open(&folder, identity.clone()).map_err(|error| {
        Failure::new(format!("cannot read the block list in {}: {error}", folder.display()))
    })?;
    let listener = listen(options.common.listen).await?;
    let local = listener.local_addr().map_err(Failure::new)?;
    let secure = options.common.tls.secure(&folder)?;
    let url = match (&options.common.url, &secure) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(secure)) => match (secure.name(), local.port()) {
            (Some(name), 443) => format!("https://{name}"),
            (Some(name), port) => format!("https://{name}:{port}"),
            (None, port) => format!("https://{}", SocketAddr::new(reachable_ip(local.ip()), port)),
        },
        (None, None) => format!("http://{}", SocketAddr::new(reachable_ip(local.ip()), local.port())),
    };
    let network = network_of(&url);
    let seed = getrandom::u64().map_err(Failure::new)?;
    let nonces = getrandom::u64().map_err(Failure::new)?;

    let mut tasks = JoinSet::new();
    let node = match &options.node {
        Some(node_options) => {
            let settings = planting::Settings {
                policy: node_options.planting.into(),
                // The host itself may always plant on its own node.
                planters: node_options.planters.iter().copied().chain([identity.key()]).collect(),
                open_bridge: node_options.open_bridge,
                track_any: node_options.track == Tracked::Any,
                url: url.clone(),
                limits: node_options.limits(),
                folder: folder.join("planted"),
            };
            let planting = Planting::open(settings, identity.clone()).map_err(|error| {
                Failure::new(format!("cannot read what was planted in {}: {error}", folder.display()))
            })?;
            let ceilings = &node_options.ceilings;
            let config =
                tracker::Config { announced_tcp: node_options.announced_tcp(), ..ceilings.tracker() };
            let store = Arc::new(Swarms::new(ceilings.store(), seed));
            let snapshot = folder.join("swarms");
            if let Err(error) = tracker::snapshot::restore(&store, &snapshot) {
                warn!(file = %snapshot.display(), %error, "starting with empty swarms");
            }
            tasks.spawn(tracker::snapshot::keep(store.clone(), snapshot));
            let tracker = Tracker::new(config, store, planting.clone());
            tasks.spawn(tracker.clone().expire_forever());
            tasks.spawn(tend_planted(planting.clone(), tracker.clone()));
            Some((planting, tracker))
        }
        None => None,
    };
    let supernode = match options.role {
        Role::Node => None,
        Role::Up | Role::Supernode => {
            let index = open_index(&options, &folder).await?;
            let supernode = Supernode::new(index, identity.clone(), url.clone(), network, seed);
            Some(supernode)
        }
    };

    let supernodes: Vec<String> =
        options.supernodes.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    let own = supernode.as_ref().map(|_| url.clone());
    let told: Vec<String> = own.into_iter().chain(supernodes.iter().cloned()).collect();
    let bridge = match (&options.node, &node) {
        (Some(node_options), Some((planting, tracker))) => Some(
            crate::bridge::start(
                node_options.bridge(local.ip(), network, told, &folder, tracker.sent.clone()),
                planting.clone(),
                tracker.clone(),
            )
            .await
            .map_err(Failure::new)?,
        ),
        _ => None,
    };
    if let (Some(node_options), Some((planting, _)), Some(bridge)) = (&options.node, &node, &bridge) {
        // Who can be reached only from here is of no use to the DHT.
        let host = if network == Policy::Public { local.ip() } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        if let Some(settings) = node_options.dht.settings(host, true, Some(folder.join("dht"))) {
            let (planting, bridge) = (planting.clone(), bridge.clone());
            tasks.spawn(async move {
                match Dht::enter(settings).await {
                    Ok(dht) => dht::serve(dht, planting, bridge).await,
                    Err(error) => warn!(%error, "no DHT; --dht-listen names another port"),
                }
            });
        }
    }
    let udp_tracker = match (&options.node, &node) {
        (Some(node_options), Some((_, tracker))) => {
            udp_tracker(node_options.udp_tracker, options.common.listen, local, tracker)?
        }
        _ => None,
    };
    let udp_tracker = match fleet_servers.is_empty() {
        true => udp_tracker,
        false => udp_tracker.map(|door| door.of_fleet(fleet::udp_secret(&identity), fleet::unix())),
    };
    let udp_local = udp_tracker.as_ref().map(UdpDoor::local_addr);
    if let Some(door) = udp_tracker {
        tasks.spawn(door.serve());
    }
    let supernodes: Vec<String> =
        options.supernodes.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    let reached_at = |tracker: &Tracker| {
        let tcp = bridge.as_ref().and_then(|bridge| bridge.tcp());
        let tcp = tcp.map(|tcp| SocketAddr::new(reachable_ip(tcp.ip()), tcp.port()));
        tracker.config.announced_tcp.or(tcp)
    };
    let fleet = match &node {
        Some((planting, tracker)) if !fleet_servers.is_empty() => {
            let settings = fleet::Settings {
                servers: fleet_servers.to_vec(),
                key: identity.key(),
                id: ProcessId(getrandom::u64().map_err(Failure::new)?),
                bridge: reached_at(tracker),
            };
            let fleet = Fleet::start(settings, planting.clone(), tracker.clone()).await;
            Some(fleet.map_err(Failure::new)?)
        }
        _ => None,
    };
    // One that is no part of a fleet speaks for itself.
    let speaks = fleet.as_ref().map_or_else(|| tokio::sync::watch::channel(true).1, Fleet::speaks);
    let mesh = node.as_ref().map(|(planting, tracker)| {
        let own = supernode.as_ref().map(|_| url.clone());
        let settings = mesh::Settings {
            identity: identity.clone(),
            url: url.clone(),
            network,
            supernodes: own.into_iter().chain(supernodes.iter().cloned()).collect(),
            bridge: reached_at(tracker),
            file: folder.join("sisters"),
            seed: nonces,
            speaks: speaks.clone(),
            fleet: fleet.clone(),
            sent: tracker.sent.clone(),
        };
        Mesh::start(settings, planting.clone(), tracker.clone())
    });
    let budget = match (&options.node, &node) {
        (Some(node_options), Some((planting, tracker))) => {
            let sent = tracker.sent.clone();
            let budget =
                Budget::open(node_options.budgets.clone(), folder.join("spent"), sent, planting.clone());
            tracker.set_handing(budget.clone());
            tasks.spawn(budget.clone().keep(tracker.clone(), mesh.clone(), bridge.clone(), fleet.clone()));
            Some(budget)
        }
        _ => None,
    };
    let about = About {
        udp_tracker: udp_local.and_then(|local| udp_url(&url, local)),
        identity: identity.clone(),
        url: url.clone(),
        supernodes,
        tcp: bridge.as_ref().and_then(|bridge| bridge.tcp()),
        stun: bridge.as_ref().and_then(|bridge| bridge.stun(&url)),
    };
    let app = Arc::new(App {
        about,
        tracker: node.as_ref().map(|(_, tracker)| tracker.clone()),
        planting: node.as_ref().map(|(planting, _)| planting.clone()),
        mesh: mesh.clone(),
        bridge: bridge.clone(),
        budget: budget.clone(),
        fleet: fleet.clone(),
        supernode: supernode.clone(),
        blocks: Some(blocks.clone()),
        page: Some(Page::new(options.common.www.clone())),
        proxies: Proxies(options.common.proxies.clone()),
        pace: Pace::per_minute(POSTS_PER_MINUTE),
        max_connections: options
            .node
            .as_ref()
            .map_or(Ceilings::CONNECTIONS, |node| node.ceilings.max_connections),
    });

    let (close, closed) = tokio::sync::oneshot::channel::<()>();
    let tls = secure.map(|secure| secure.start(&mut tasks));
    let mut server = tokio::spawn(server::serve_by(listener, tls, app.clone(), async {
        let _ = closed.await;
    }));
    tasks.spawn(blocks.clone().watch_forever());
    for subscription in &options.common.block_lists {
        tasks.spawn(blocks.clone().follow_forever(subscription.clone()));
    }
    if let Some((planting, _)) = &node {
        tasks.spawn(planting.clone().obey_forever(blocks.clone()));
    }
    if let Some(supernode) = &supernode {
        supernode.obey(blocks);
    }
    announce_self(&app, &mut tasks).await;
    if let Some(supernode) = &supernode {
        tasks.spawn(supernode.clone().tend_forever());
        tasks.spawn(supernode.clone().follow_forever(app.about.supernodes.clone()));
    }
    if let Some((planting, tracker)) = &node {
        let reporter = report::Reporter {
            identity,
            url: url.clone(),
            planting: planting.clone(),
            tracker: tracker.clone(),
            own: supernode.clone(),
            supernodes: app.about.supernodes.clone(),
            met: folder.join("supernodes"),
            network,
            speaks,
        };
        tasks.spawn(reporter.run());
    }
    let demo = match &bridge {
        Some(bridge) if options.demo => match demo::start(&app, bridge, &folder.join("demo")).await {
            Ok(link) => Some(link),
            Err(reason) => {
                warn!(%reason, "no demo torrent");
                None
            }
        },
        _ => None,
    };
    Ready {
        role: options.role,
        http: format!("{url}/"),
        tcp: bridge.as_ref().and_then(|bridge| bridge.tcp()),
        udp: bridge.as_ref().and_then(|bridge| bridge.udp()),
        udp_tracker: udp_local,
        key: app.about.identity.key(),
        demo,
        hint: hint(&options, local),
    }
    .print(options.common.json);

    let ended = tokio::select! {
        ended = &mut server => Err(Failure::new(match ended {
            Ok(Err(error)) => format!("the server failed: {error}"),
            _ => "the server ended unexpectedly".to_owned(),
        })),
        () = stop => Ok(()),
    };
    tasks.abort_all();
    if let Some(mesh) = mesh {
        mesh.leave().await;
    }
    if let Some(fleet) = fleet {
        fleet.leave().await;
    }
    if let Some((_, tracker)) = &node
        && let Err(error) = tracker::snapshot::write(&tracker.swarms, &folder.join("swarms"))
    {
        warn!(%error, "the snapshot of the swarms could not be written");
    }
    if let Some(budget) = budget
        && let Err(error) = budget.write()
    {
        warn!(%error, "what was spent could not be written down");
    }
    let _ = close.send(());
    if let Some(bridge) = bridge {
        bridge.leave().await;
    }
    // WebSockets have no end of their own: whoever is still there after this is cut off.
    let _ = tokio::time::timeout(FAREWELL, server).await;
    if let Some(supernode) = supernode {
        supernode.close().await;
    }
    ended
}

/// Lists our own node in our own index, and ourselves at the supernodes that were named.
async fn announce_self(app: &Arc<App>, tasks: &mut JoinSet<()>) {
    if let (Some(supernode), Some(entry)) = (app.supernode.clone(), app.node_entry()) {
        if let Err(problem) = supernode.list(&entry).await {
            warn!(%problem, "could not list our own node");
        }
        let app = app.clone();
        tasks.spawn(async move {
            let mut timer = tokio::time::interval(Duration::from_secs(30));
            loop {
                timer.tick().await;
                if let Some(entry) = app.node_entry() {
                    let _ = supernode.list(&entry).await;
                }
            }
        });
    }
    let supernodes = app.about.supernodes.clone();
    let client = match client::new(Duration::from_secs(10)) {
        Ok(client) => client,
        Err(reason) => return warn!(%reason, "cannot register at supernodes"),
    };
    for supernode in &supernodes {
        if let Err(reason) = register::register(&client, supernode, &app.about.url).await {
            eprintln!("anatomic: {reason}; trying again every minute");
        }
    }
    if app.tracker.is_some() || supernodes.is_empty() {
        // A node goes on to register with its reports.
        return;
    }
    let url = app.about.url.clone();
    tasks.spawn(async move {
        let mut timer = tokio::time::interval(Duration::from_secs(60));
        loop {
            timer.tick().await;
            for supernode in &supernodes {
                if let Err(reason) = register::register(&client, supernode, &url).await {
                    warn!(%reason, "could not register; trying again in a minute");
                }
            }
        }
    });
}

/// The supernode's index: in the data folder, or in the database that was named.
async fn open_index(options: &Options, folder: &Path) -> Result<Index, Failure> {
    match &options.store {
        Some(url) => Index::connect(url).await.map_err(|error| {
            // The address may hold a password.
            let place = url.rsplit('@').next().unwrap_or_default();
            Failure::new(format!(
                "cannot use the PostgreSQL database {place}: {error}; is it running, and does the database exist?"
            ))
        }),
        None => {
            let path = folder.join("index.sqlite");
            Index::open(&path).await.map_err(|error| {
                Failure::new(format!(
                    "cannot open the index {}: {error}; if the file is damaged, remove it: nodes bring everything again",
                    path.display()
                ))
            })
        }
    }
}

async fn tend_planted(planting: Arc<Planting>, tracker: Arc<Tracker>) {
    let mut timer = tokio::time::interval(Duration::from_secs(600));
    loop {
        timer.tick().await;
        let (planting, swarms) = (planting.clone(), tracker.swarms.clone());
        // Sisters' peers count: a swarm that lives at one node lives for all.
        let lives = move |info_hash: &InfoHash| {
            let counts = swarms.counts(info_hash);
            (counts.complete, counts.incomplete) != (0, 0)
        };
        let expiry = move || planting.tend(lives);
        let _ = tokio::task::spawn_blocking(expiry).await;
    }
}

/// What a host should know about who can reach this process.
fn hint(options: &Options, local: SocketAddr) -> Option<String> {
    let example = format!("0.0.0.0:{}", local.port());
    (local.ip().is_loopback() && options.common.url.is_none()).then(|| {
        format!("only this machine reaches it; for others: --listen {example} --url https://your.host")
    })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(format!("cannot listen on {address}: {error}; choose another address with --listen"))
    })
}

/// The UDP tracker: where it was asked for, else at the number of the HTTP port.
fn udp_tracker(
    wish: Option<UdpTracker>,
    asked: SocketAddr,
    http: SocketAddr,
    tracker: &Arc<Tracker>,
) -> Result<Option<UdpDoor>, Failure> {
    match wish {
        Some(UdpTracker::Off) => Ok(None),
        Some(UdpTracker::At(address)) => UdpDoor::bind(address, tracker.clone()).map(Some).map_err(|error| {
            Failure::new(format!(
                "cannot listen on UDP {address}: {error}; choose another with --udp-tracker"
            ))
        }),
        None => {
            let door = UdpDoor::bind(http, tracker.clone());
            // Where any port is good, another one is.
            let door = if asked.port() == 0 {
                door.or_else(|_| UdpDoor::bind(SocketAddr::new(http.ip(), 0), tracker.clone()))
            } else {
                door
            };
            Ok(door
                .map_err(|error| warn!(address = %http, %error, "no UDP tracker; --udp-tracker names another port"))
                .ok())
        }
    }
}
