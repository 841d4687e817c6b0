//! Nodes and supernodes that peers name to each other.

use anatomic_engine::{Event, Hosts};
use anatomic_sim::{Content, HostConfig, HostId, World};
use std::time::Duration;

fn hosts(name: &str) -> Hosts {
    Hosts { nodes: vec![format!("https://{name}")], supernodes: vec!["https://s.example".into()] }
}

/// What a host was told, in order.
fn told(world: &World, host: HostId) -> Vec<Hosts> {
    let told = world.at(host).events.iter().filter_map(|(_, event)| match event {
        Event::Hosts { hosts, .. } => Some(hosts.clone()),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_peer_is_told_at_once_and_of_what_changes_but_not_without_end() {
    let mut world = World::new(1);
    let content = Content::random(1, 200_000, 16_384);
    let (knows, asks) = (world.host(HostConfig::default()), world.host(HostConfig::default()));
    // Two that have nothing stay connected.
    let key = world.leech(knows, &content);
    world.with(knows, |now, host| host.engine.set_hosts(now, key, hosts("a.example")));
    world.leech(asks, &content);
    world.run(Duration::from_secs(10));
    assert_eq!(told(&world, asks), [hosts("a.example")]);
    assert!(told(&world, knows).is_empty(), "who knows nothing says nothing");
    for number in 0..10 {
        let name = format!("h{number}.example");
        world.with(knows, |now, host| host.engine.set_hosts(now, key, hosts(&name)));
        world.with(knows, |now, host| host.engine.set_hosts(now, key, hosts(&name)));
        world.run(Duration::from_secs(1));
    }
    assert_eq!(told(&world, asks).len(), 4, "a connection is heard so often");
}
