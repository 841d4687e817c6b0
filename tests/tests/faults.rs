//! The network loses nodes and supernodes while people use it: downloads go on, newcomers find the swarm, the mesh heals.
//!
//! Nobody lies here (`hostile_node.rs`, `hostile_supernode.rs`) and nothing is cut in two (`split.rs`): processes die, by SIGKILL.

use anatomic_mesh::{Receipt, Signed};
use anatomic_tests::ask::{eventually, metric};
use anatomic_tests::prelude::*;
use anatomic_tests::process::Process;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tokio::time::Instant;

/// A client that is no tab, and where it downloads to.
struct Client {
    name: String,
    process: Process,
    into: PathBuf,
    /// libtorrent says it is done and goes on to seed; the others end.
    seeds_on: bool,
    /// `anatomic get`.
    ours: bool,
}

/// Everybody who downloads.
#[derive(Default)]
struct Crowd {
    clients: Vec<Client>,
    transmissions: Vec<Transmission>,
    tabs: Vec<Page>,
}

/// What is downloaded, and where it is found.
struct Torrented {
    info_hash: String,
    digest: String,
    /// The planted torrent.
    file: String,
    /// The planted link.
    link: String,
}

const NAME: &str = "f.bin";
const LENGTH: u64 = 12 * MIB + 77;

impl Torrented {
    /// The link as it is opened where its own host is dead: the same, at another host.
    fn at(&self, host: &Anatomic) -> String {
        format!("{}#{}", host.url(), torrent::magnet_of(&self.link))
    }
}

impl Crowd {
    fn size(&self) -> usize {
        self.clients.len() + self.transmissions.len() + self.tabs.len()
    }

    fn client(&mut self, s: &Scene, kind: &str, start: impl FnOnce(&Scene, &str, &Path) -> Process) {
        let name = format!("{kind}{}", self.size());
        let into = s.folder(&format!("{name}.into"));
        let process = start(s, &name, &into);
        let (seeds_on, ours) = (kind == "libtorrent", kind == "get");
        self.clients.push(Client { name, process, into, seeds_on, ours });
    }

    fn aria2(&mut self, s: &Scene, it: &Torrented) {
        self.client(s, "aria2-", |s, name, into| {
            // Goes on to be there for the others.
            aria2::start(s, name, &it.file, into, &["--seed-time=0", "--max-tries=0"])
        });
    }

    fn libtorrent(&mut self, s: &Scene, it: &Torrented) {
        self.client(s, "libtorrent", |s, name, into| {
            libtorrent::leech(s, name, &it.file, into, libtorrent::Transport::Tcp, &[])
        });
    }

    fn get(&mut self, s: &Scene, it: &Torrented) {
        self.client(s, "get", |s, name, into| {
            let listen = format!("{}:0", ports::address());
            let out = into.display().to_string();
            let args = ["get", &it.link, "-o", &out, "--no-seed", "--listen", &listen];
            anatomic::start(s, name, &args)
        });
    }

    async fn transmission(&mut self, s: &Scene, it: &Torrented) {
        let client = Transmission::start(s, &format!("transmission{}", self.size())).await;
        client.add(&it.file).await;
        self.transmissions.push(client);
    }

    async fn tab(&mut self, s: &Scene, browser: &Browser, url: &str) {
        self.tabs.push(Page::open_apart(s, browser, url).await);
    }

    /// Waits until our own clients of those that came after `known` have got something. Whom foreign clients let wait, and
    /// how long, is theirs: with so slow a seed some get nothing for minutes. They have to be complete in the end.
    async fn newcomers_download(&self, known: (usize, usize), it: &Torrented, limit: Duration) {
        let begun = Instant::now();
        for tab in self.tabs.iter().skip(known.1) {
            tab.wait_progress(&it.info_hash, 0.01, limit).await;
        }
        for client in self.clients.iter().skip(known.0).filter(|client| client.ours) {
            while on_disk(&client.into) < 256 * 1024 {
                assert!(
                    begun.elapsed() < limit,
                    "{} has nothing after {limit:?}:\n{}",
                    client.name,
                    client.process.log().tail()
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        println!("newcomers had content after {:.1} s", begun.elapsed().as_secs_f64());
    }

    fn numbers(&self) -> (usize, usize) {
        (self.clients.len(), self.tabs.len())
    }

    /// Nobody has ended, well or badly.
    fn all_under_way(&mut self) {
        for client in &mut self.clients {
            let tail = client.process.log().tail();
            assert!(client.process.is_running(), "{} has ended:\n{tail}", client.name);
        }
    }

    async fn all_complete(&mut self, it: &Torrented) {
        for client in &mut self.clients {
            if client.seeds_on {
                libtorrent::wait_done(&mut client.process, TRANSFER).await;
            } else {
                let status = client.process.wait(TRANSFER).await;
                assert!(status.success(), "{}: {status}\n{}", client.name, client.process.log().tail());
            }
            assert_eq!(content::sha256(&client.into.join(NAME)), it.digest, "{}", client.name);
        }
        for client in &self.transmissions {
            client.wait_complete(&it.info_hash, TRANSFER).await;
            assert_eq!(content::sha256(&client.downloads().join(NAME)), it.digest);
        }
        for tab in &self.tabs {
            tab.wait_complete(&it.info_hash, TRANSFER).await;
            let (_, saved) = tab.save(&it.info_hash, 0, SHORT).await;
            assert_eq!(content::sha256(&saved), it.digest, "{}", tab.tab().name());
        }
    }
}

/// Bytes that files below a folder really take.
fn on_disk(dir: &Path) -> u64 {
    let blocks = |entry: std::fs::DirEntry| entry.metadata().map_or(0, |found| found.blocks() * 512);
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(blocks).sum()
}

/// Plants the content of `home` on three nodes.
async fn planted(s: &Scene, network: &Network, home: &Path, seed: u64) -> (Torrented, Vec<usize>) {
    let digest = content::file(&home.join(NAME), seed, LENGTH);
    let original = torrent::make(&home.join(NAME), &s.path("original.torrent"), &[], 64);
    let file = s.path("planted.torrent");
    let (answer, holders) = network.plant(s, &original.path, &file).await;
    network.whole(&holders, SHORT).await;
    let link = answer["link"].as_str().expect("a link").to_owned();
    (Torrented { info_hash: original.info_hash, digest, file: file.display().to_string(), link }, holders)
}

/// The receipts of a torrent that a supernode knows.
async fn receipts(supernode: &Anatomic, info_hash: &str) -> Vec<Signed<Receipt>> {
    let known = ask::json(supernode, &format!("/api/v1/torrents/{info_hash}")).await;
    let known = known.unwrap_or_default()["receipts"].clone();
    serde_json::from_value(known).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_clients_outlive_a_supernode_and_two_of_three_nodes_and_newcomers_find_the_swarm() {
    scene::run_within(Duration::from_secs(600), async |s| {
        let mut network = Network::start(s, 3, 5).await;
        let home = s.folder("content");
        let (it, holders) = planted(s, &network, &home, 201).await;
        // The only seed gives so little that everybody is still downloading when the last node dies.
        let slow = ["--max-upload-limit=80K"];
        let _seed = aria2::seed_with(s, "seed", Path::new(&it.file), &home, &slow);

        let browser = Browser::launch(s, "browser").await;
        let mut crowd = Crowd::default();
        for _ in 0..3 {
            crowd.tab(s, &browser, &it.link).await;
        }
        for _ in 0..4 {
            crowd.aria2(s, &it);
        }
        for _ in 0..2 {
            crowd.libtorrent(s, &it);
            crowd.get(s, &it);
        }
        crowd.transmission(s, &it).await;
        crowd.newcomers_download((0, 0), &it, SHORT).await;

        // The supernode that is the link's own host, and a node.
        let known = crowd.numbers();
        network.supernodes[0].process().kill().await;
        network.nodes[holders[0]].process().kill().await;
        crowd.tab(s, &browser, &it.at(&network.supernodes[1])).await;
        crowd.aria2(s, &it);
        crowd.libtorrent(s, &it);
        crowd.get(s, &it);
        crowd.newcomers_download(known, &it, SHORT).await;

        // A second node: one of three is left, and nobody has replaced the first yet.
        let known = crowd.numbers();
        crowd.all_under_way();
        assert_eq!(network.holders().await.len(), 2, "the second dies before the first is replaced");
        network.nodes[holders[1]].process().kill().await;
        let killed = Instant::now();
        crowd.tab(s, &browser, &it.at(&network.supernodes[2])).await;
        crowd.tab(s, &browser, &it.at(&network.nodes[holders[2]])).await;
        crowd.aria2(s, &it);
        crowd.get(s, &it);
        crowd.newcomers_download(known, &it, SHORT).await;
        assert_eq!((crowd.size(), crowd.tabs.len()), (20, 6));

        // Three nodes hold it again, each connected with each other.
        let three = loop {
            let now = network.holders().await;
            if now.len() == 3 {
                break now;
            }
            assert!(killed.elapsed() < Duration::from_secs(130), "two minutes after the kill: {now:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        network.whole(&three, Duration::from_secs(130).saturating_sub(killed.elapsed())).await;
        println!("the mesh was whole again {:.0} s after the last kill", killed.elapsed().as_secs_f64());
        assert!(three.contains(&holders[2]));

        // Their receipts name each other and none of the dead, and both supernodes know them.
        let key = |node: usize| network.nodes[node].ready()["key"].as_str().expect("a key").to_owned();
        for supernode in &network.supernodes[1..] {
            eventually("receipts that name the living", SHORT, async || {
                let receipts = receipts(supernode, &it.info_hash).await;
                three.iter().all(|node| {
                    let own = receipts.iter().find(|receipt| receipt.node.to_string() == key(*node));
                    let others = three.iter().filter(|other| *other != node);
                    let mut wanted: Vec<String> = others.map(|other| key(*other)).collect();
                    let mut named: Vec<String> = own
                        .map(|own| own.sisters.iter().map(ToString::to_string).collect())
                        .unwrap_or_default();
                    wanted.sort();
                    named.sort();
                    named == wanted
                })
            })
            .await;
        }

        // Now let them finish.
        crowd.all_under_way();
        let _quick = aria2::seed(s, "quick", Path::new(&it.file), &home);
        let begun = Instant::now();
        crowd.all_complete(&it).await;
        println!("all twenty were complete {:.1} s later", begun.elapsed().as_secs_f64());
        for node in &three {
            assert_eq!(metric(&network.nodes[*node], "mesh_malformed").await, Some(0));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_works_with_all_supernodes_dead_and_after_replanting_with_all_its_nodes_dead() {
    scene::run(async |s| {
        let mut network = Network::start(s, 2, 4).await;
        let home = s.folder("content");
        let (it, holders) = planted(s, &network, &home, 202).await;
        let spare = (0..4).find(|node| !holders.contains(node)).expect("a fourth node");
        let seed = aria2::seed(s, "seed", Path::new(&it.file), &home);
        eventually("the seed is known", SHORT, async || {
            ask::scrape(&network.nodes[holders[2]], &it.info_hash).await == Some((1, 0))
        })
        .await;
        for supernode in &mut network.supernodes {
            supernode.process().kill().await;
        }
        let browser = Browser::launch(s, "browser").await;
        // A link's host is where the page comes from: any living host will do.
        let mut crowd = Crowd::default();
        crowd.tab(s, &browser, &it.at(&network.nodes[spare])).await;
        crowd.get(s, &it);
        crowd.all_complete(&it).await;

        // The supernodes come back, and every node that the link names is gone, with its seed.
        for supernode in &mut network.supernodes {
            supernode.restart(s).await;
        }
        for node in &holders {
            network.nodes[*node].process().kill().await;
        }
        drop((seed, crowd));
        let replanted = anatomic::run(s, "replant", &["replant", &it.link, "--nodes", "1", "--json"]).await;
        println!("{}", replanted.success().stdout.trim());
        assert_eq!(metric(&network.nodes[spare], "planted_torrents").await, Some(1));
        let elsewhere = torrent::make(
            &home.join(NAME),
            &s.path("elsewhere.torrent"),
            &[&network.nodes[spare].announce()],
            64,
        );
        assert_eq!(elsewhere.info_hash, it.info_hash);
        let _seed = aria2::seed(s, "another seed", &elsewhere.path, &home);
        let mut crowd = Crowd::default();
        crowd.get(s, &it);
        crowd.tab(s, &browser, &it.link).await;
        crowd.all_complete(&it).await;
    })
    .await;
}
