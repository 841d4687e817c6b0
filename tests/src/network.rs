//! Several nodes and supernodes as processes.
//!
//! Judges nothing but what it waits for; who is killed and who downloads is the tests' business. What a process is asked is in
//! [`crate::ask`].

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::anatomic::Anatomic;
use crate::ask::metric;
use crate::scene::Scene;

/// Nodes and their supernodes.
pub struct Network {
    /// The supernodes.
    pub supernodes: Vec<Anatomic>,
    /// The nodes, each registered with all supernodes.
    pub nodes: Vec<Anatomic>,
}

impl Network {
    /// Starts so many supernodes, then so many nodes that know them all.
    pub async fn start(scene: &Scene, supernodes: usize, nodes: usize) -> Self {
        let mut network = Self { supernodes: Vec::new(), nodes: Vec::new() };
        let mut named: Vec<String> = Vec::new();
        for number in 0..supernodes {
            // Each follows those that were there before it; these hear of it by its registration.
            let options: Vec<&str> = named.iter().flat_map(|url| ["--supernode", url]).collect();
            let supernode =
                Anatomic::start(scene, &format!("supernode{number}"), "supernode", &options).await;
            named.push(supernode.url());
            network.supernodes.push(supernode);
        }
        let options: Vec<&str> = named.iter().flat_map(|url| ["--supernode", url]).collect();
        for number in 0..nodes {
            let name = format!("node{number}");
            network.nodes.push(Anatomic::start(scene, &name, "node", &options).await);
        }
        network
    }

    /// Plants on three nodes by all supernodes; returns the answer and the numbers of the nodes that hold it now.
    ///
    /// # Panics
    /// When there are not three.
    pub async fn plant(&self, scene: &Scene, what: &Path, out: &Path) -> (Value, Vec<usize>) {
        let out = out.display().to_string();
        let others: Vec<String> = self.supernodes.iter().skip(1).map(Anatomic::url).collect();
        let mut options = vec!["--nodes", "3", "-o", &out];
        options.extend(others.iter().flat_map(|url| ["--supernode", url.as_str()]));
        let planted = self.supernodes[0].plant(scene, what, &options).await;
        let holders = self.holders().await;
        assert_eq!(holders.len(), 3, "{planted}");
        (planted, holders)
    }

    /// The living nodes on which something is planted.
    pub async fn holders(&self) -> Vec<usize> {
        let mut holders = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            if metric(node, "planted_torrents").await.is_some_and(|count| count > 0) {
                holders.push(number);
            }
        }
        holders
    }

    /// Waits until each of these nodes has a connection to each other one; how long that took.
    ///
    /// # Panics
    /// When `limit` passes before.
    pub async fn whole(&self, nodes: &[usize], limit: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let mut connected = Vec::new();
            for node in nodes {
                connected.push(metric(&self.nodes[*node], "sisters_connected").await.unwrap_or(0));
            }
            if connected.iter().all(|count| *count + 1 >= nodes.len() as u64) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < limit, "not whole after {limit:?}: {connected:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
