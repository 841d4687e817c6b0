//! The OpenAPI document against the routes, and against what running processes answer.
//!
//! A walk over every operation with requests that strangers and friends send. Schemas are closed for it: an entry that
//! the document does not name fails, although readers skip such entries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use anatomic_core::{InfoHash, Metainfo};
use anatomic_mesh::api::{
    AdoptRequest, Handover, PlantRequest, Planted, Report, TorrentFile, WithdrawRequest,
};
use anatomic_mesh::counts::{Counts, Peers, SwarmCount};
use anatomic_mesh::receipt::DEFAULT_LEASE;
use anatomic_mesh::{Adoption, Claim, Identity, Key, Listing, Reach, Receipt, Signed, Withdrawal};
use anatomic_relay::http::{openapi, route_paths};
use anatomic_relay::node::{clock, identity};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

static STARTED: AtomicUsize = AtomicUsize::new(0);

struct Process {
    _child: Child,
    url: String,
    folder: PathBuf,
}

impl Process {
    async fn start(role: &str) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("anatomic-openapi-{}-{number}", std::process::id()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_anatomic"));
        command.args([role, "--json", "--listen", "127.0.0.1:0"]).arg("--data").arg(&folder);
        if role != "supernode" {
            command.args(["--udp-tracker", "off", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["http"].as_str().unwrap().trim_end_matches('/').to_owned();
        Self { _child: child, url, folder }
    }

    fn identity(&self) -> Identity {
        identity::load_or_create(&self.folder.join("key")).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn document() -> Value {
    serde_json::from_str(openapi::DOCUMENT).unwrap()
}

/// The document with every object closed.
fn closed(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            for inner in object.values_mut() {
                *inner = closed(inner.take());
            }
            if object.contains_key("properties") && object.get("type") == Some(&json!("object")) {
                object.insert("additionalProperties".into(), json!(false));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| *inner = closed(inner.take())),
        _ => {}
    }
    value
}

/// What the document says, and which of it was seen.
struct Walk {
    document: Value,
    client: reqwest::Client,
    seen: BTreeSet<(String, String)>,
    faults: Vec<String>,
}

impl Walk {
    fn new() -> Self {
        let none = reqwest::redirect::Policy::none();
        let client = anatomic_relay::tls::http().redirect(none).build().unwrap();
        Self { document: closed(document()), client, seen: BTreeSet::new(), faults: Vec::new() }
    }

    fn operation(&self, template: &str, method: &str) -> Value {
        let path = &self.document["paths"][template];
        let path = match path["$ref"].as_str() {
            Some(other) => self.document.pointer(other.trim_start_matches('#')).unwrap(),
            None => path,
        };
        path[method].clone()
    }

    /// Whether `value` is what `schema` says; the schemas of the document are in reach.
    fn check(&mut self, what: &str, schema: &Value, value: &Value) {
        let root = json!({"components": self.document["components"], "allOf": [schema]});
        let validator = jsonschema::validator_for(&root).unwrap();
        let faults: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{what}: {error} at {}", error.instance_path()))
            .collect();
        self.faults.extend(faults);
    }

    async fn get(&mut self, template: &str, url: &str, status: u16) -> Vec<u8> {
        let request = self.client.get(url);
        self.ask(template, "get", request, status).await
    }

    async fn post(&mut self, template: &str, host: &str, body: &impl Serialize, status: u16) -> Vec<u8> {
        let body = serde_json::to_value(body).unwrap();
        let schema =
            self.operation(template, "post")["requestBody"]["content"]["application/json"]["schema"].clone();
        self.check(&format!("body of post {template}"), &schema, &body);
        let request = self.client.post(format!("{host}{template}")).json(&body);
        self.ask(template, "post", request, status).await
    }

    async fn ask(
        &mut self,
        template: &str,
        method: &str,
        request: reqwest::RequestBuilder,
        status: u16,
    ) -> Vec<u8> {
        let what = format!("{method} {template}");
        let answer = request.send().await.unwrap();
        let got = answer.status().as_u16();
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or_default().to_owned();
        let body = answer.bytes().await.unwrap().to_vec();
        if got != status {
            let words = String::from_utf8_lossy(&body);
            self.faults.push(format!("{what} answers {got}, not {status}: {words:.200}"));
        }
        let response = self.operation(template, method)["responses"][got.to_string()].clone();
        match (response.is_null(), &response["content"]) {
            (true, _) => self.faults.push(format!("{what}: status {got} is not in the document")),
            (false, Value::Null) if !body.is_empty() => {
                self.faults.push(format!("{what}: {got} has a body that is not in the document"));
            }
            (false, Value::Null) => {}
            (false, content) => match &content[&kind] {
                Value::Null => {
                    self.faults.push(format!("{what}: {got} of type {kind:?} is not in the document"))
                }
                entry if kind.ends_with("json") => {
                    let schema = entry["schema"].clone();
                    let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
                    self.check(&format!("{got} of {what}"), &schema, &value);
                }
                _ => {}
            },
        }
        self.seen.insert((template.to_owned(), method.to_owned()));
        body
    }
}

fn raw(info_hash: &InfoHash) -> String {
    info_hash.0.iter().map(|byte| format!("%{byte:02x}")).collect()
}

fn torrent() -> (InfoHash, TorrentFile) {
    let info = format!("d6:lengthi5e4:name4:walk12:piece lengthi16384e6:pieces20:{}e", "h".repeat(20));
    let metainfo = Metainfo::from_info(info.into(), Vec::new(), Vec::new()).unwrap();
    (metainfo.info_hash(), TorrentFile(metainfo.to_torrent()))
}

fn claim(planter: &Identity, node: Key, info_hash: InfoHash) -> Signed<Claim> {
    let claim = Claim {
        info_hash,
        info_hash_v2: None,
        node,
        planter: planter.key(),
        sisters: vec![Key([8; 32])],
        listing: Listing::Listed,
        issued: clock::now(),
        at: None,
    };
    Signed::new(claim, planter).unwrap()
}

fn withdrawal(planter: &Identity, node: Key, info_hash: InfoHash) -> WithdrawRequest {
    let reach = Reach::Everywhere;
    let withdrawal =
        Withdrawal { info_hash, node, planter: planter.key(), reach, issued: clock::now(), at: None };
    WithdrawRequest { withdrawal: Signed::new(withdrawal, planter).unwrap() }
}

fn adoption(planter: &Identity, from: &Identity, node: Key, info_hash: InfoHash) -> AdoptRequest {
    let receipt = Receipt {
        info_hash,
        info_hash_v2: None,
        node: from.key(),
        url: "http://127.0.0.1:1".into(),
        planter: planter.key(),
        sisters: vec![],
        listing: Listing::Listed,
        issued: clock::now(),
        claimed: None,
        expires: clock::now().plus(DEFAULT_LEASE),
    };
    let adoption =
        Adoption { info_hash, node, from: from.key(), sisters: vec![from.key()], issued: clock::now() };
    AdoptRequest {
        adoption: Signed::new(adoption, from).unwrap(),
        claim: claim(planter, from.key(), info_hash),
        receipt: Signed::new(receipt, from).unwrap(),
        torrent: Some(torrent().1),
        trackers: vec!["http://127.0.0.1:1/announce".into()],
    }
}

#[test]
fn every_schema_is_one_and_every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|inner| references(inner, found));
            }
            Value::Array(list) => list.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
        assert!(found.contains(format!("#/components/schemas/{name}").as_str()), "nobody uses {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_and_method_is_in_the_document_and_no_other() {
    let process = Process::start("up").await;
    let walk = Walk::new();
    let mut routes = BTreeSet::new();
    for path in route_paths() {
        let url = format!(
            "{}{}",
            process.url,
            path.replace("{key}", "k").replace("{info_hash}", "h").replace("{name}", "n")
        );
        let answer = walk.client.patch(url).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{path}");
        let allowed = answer.headers()["allow"].to_str().unwrap().to_lowercase();
        routes.extend(
            allowed
                .split(',')
                .filter(|method| *method != "head")
                .map(|method| (path.clone(), method.to_owned())),
        );
    }
    let mut named = BTreeSet::new();
    for path in walk.document["paths"].as_object().unwrap().keys() {
        for method in ["get", "post", "put", "delete", "patch"] {
            if !walk.operation(path, method).is_null() {
                named.insert((path.clone(), method.to_owned()));
            }
        }
    }
    assert_eq!(routes, named, "routes on the left, the document on the right");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_running_process_answers_is_what_the_document_says() {
    let (up, node, supernode) =
        (Process::start("up").await, Process::start("node").await, Process::start("supernode").await);
    let mut walk = Walk::new();
    let (host, key) = (&up.url, up.identity().key());
    let (hash, file) = torrent();
    let (planter, other) = (Identity::from_seed([71; 32]), Identity::from_seed([72; 32]));
    let unknown = InfoHash([0xee; 20]);
    let api = |path: &str| format!("/api/v1{path}");

    walk.get("/.well-known/anatomic", &format!("{host}/.well-known/anatomic?challenge=x"), 200).await;
    walk.get("/.well-known/anatomic", &format!("{}/.well-known/anatomic", supernode.url), 200).await;
    let long = "x".repeat(65);
    walk.get("/.well-known/anatomic", &format!("{host}/.well-known/anatomic?challenge={long}"), 400).await;
    let served = walk.get(&api("/openapi.json"), &format!("{host}/api/v1/openapi.json"), 200).await;
    assert_eq!(serde_json::from_slice::<Value>(&served).unwrap(), document());

    // Planting, and what is refused of it.
    let wish = PlantRequest {
        claim: claim(&planter, key, hash),
        torrent: Some(file.clone()),
        trackers: vec!["http://127.0.0.1:1/announce".into()],
    };
    let planted = walk.post(&api("/plant"), host, &wish, 200).await;
    let receipt = serde_json::from_slice::<Planted>(&planted).unwrap().receipt;
    walk.post(&api("/plant"), &supernode.url, &wish, 404).await;
    walk.post(&api("/plant"), &node.url, &wish, 403).await;
    let other_torrent = PlantRequest { claim: claim(&planter, key, unknown), ..wish.clone() };
    walk.post(&api("/plant"), host, &other_torrent, 422).await;
    let broken = walk.client.post(format!("{host}/api/v1/plant")).body("{");
    walk.ask(&api("/plant"), "post", broken, 400).await;
    let adopt = adoption(&planter, &other, node.identity().key(), hash);
    walk.post(&api("/adopt"), &node.url, &adopt, 200).await;
    walk.post(&api("/adopt"), host, &adopt, 403).await;
    walk.post(&api("/adopt"), &supernode.url, &adopt, 404).await;

    // The supernode's side.
    let handover = Handover {
        receipts: vec![receipt.clone()],
        torrent: Some(file),
        name: Some("walk".into()),
        length: Some(5),
    };
    walk.post(&api("/receipts"), host, &handover, 200).await;
    walk.post(&api("/receipts"), &node.url, &handover, 404).await;
    for registrant in [&node.url, &supernode.url] {
        walk.post(&api("/nodes"), host, &json!({"url": registrant}), 200).await;
    }
    walk.post(&api("/nodes"), host, &json!({"url": "http://127.0.0.1:1"}), 400).await;
    let peers = Peers { seeds: 1, leeches: 2 };
    let count = SwarmCount { info_hash: hash, tabs: peers, classic: peers, helped: 3, seed_age: Some(0) };
    let counts = Counts { node: key, issued: clock::now(), swarms: vec![count] };
    let report =
        Report { handovers: vec![handover], counts: vec![Signed::new(counts, &up.identity()).unwrap()] };
    walk.post(&api("/reports"), host, &report, 200).await;
    walk.post(&api("/reports"), &node.url, &report, 404).await;
    walk.get(&api("/nodes"), &format!("{host}/api/v1/nodes?count=3&not={key}"), 200).await;
    walk.get(&api("/nodes"), &format!("{host}/api/v1/nodes?count=3"), 200).await;
    walk.get(&api("/nodes"), &format!("{host}/api/v1/nodes?for=x"), 400).await;
    walk.get(&api("/nodes"), &format!("{}/api/v1/nodes", node.url), 404).await;
    let one = api("/nodes/{key}");
    walk.get(&one, &format!("{host}/api/v1/nodes/{key}"), 200).await;
    walk.get(&one, &format!("{host}/api/v1/nodes/{}", node.identity().key()), 200).await;
    walk.get(&one, &format!("{host}/api/v1/nodes/{}", other.key()), 404).await;
    walk.get(&one, &format!("{host}/api/v1/nodes/nonsense"), 400).await;
    walk.get(&api("/directory"), &format!("{host}/api/v1/directory"), 200).await;
    walk.get(&api("/directory"), &format!("{}/api/v1/directory", node.url), 404).await;
    walk.get(&api("/feed"), &format!("{host}/api/v1/feed?since=0"), 200).await;
    walk.get(&api("/feed"), &format!("{host}/api/v1/feed?since=x"), 400).await;
    walk.get(&api("/search"), &format!("{host}/api/v1/search?q=walk&limit=3"), 200).await;
    walk.get(&api("/search"), &format!("{host}/api/v1/search?q="), 400).await;
    walk.get(&api("/search"), &format!("{}/api/v1/search?q=walk", node.url), 404).await;
    walk.get(&api("/health/{info_hash}"), &format!("{host}/api/v1/health/{hash}"), 200).await;
    walk.get(&api("/health/{info_hash}"), &format!("{host}/api/v1/health/{unknown}"), 404).await;
    walk.get(&api("/blocks"), &format!("{host}/api/v1/blocks"), 200).await;
    let one = api("/torrents/{name}");
    walk.get(&one, &format!("{host}/api/v1/torrents/{hash}"), 200).await;
    walk.get(&one, &format!("{}/api/v1/torrents/{hash}", node.url), 200).await;
    walk.get(&one, &format!("{host}/api/v1/torrents/{hash}.torrent"), 200).await;
    walk.get(&one, &format!("{host}/api/v1/torrents/{unknown}"), 404).await;
    walk.get(&one, &format!("{host}/api/v1/torrents/short"), 400).await;

    // Clients, programs of 2005, people and the host.
    let raw_hash = raw(&hash);
    for (path, query) in [
        (
            "/announce",
            format!("info_hash={raw_hash}&peer_id=-XX0001-abcdefghijkl&port=7000&left=0&compact=1"),
        ),
        ("/announce", "ping=1".into()),
        ("/scrape", format!("info_hash={raw_hash}")),
        ("/scrape", String::new()),
        ("/plant", "ping=1".into()),
        ("/multiseed", format!("info_hash={raw_hash}&data=le")),
        ("/request", String::new()),
        ("/cache", "trackers=1".into()),
    ] {
        for path in [path.to_owned(), format!("{path}.php")] {
            walk.get(&path, &format!("{host}{path}?{query}"), 200).await;
        }
    }
    // The node's receipt leads here: a supernode that tracks nothing sends clients on.
    walk.post(&api("/nodes"), &supernode.url, &json!({"url": host}), 200).await;
    let handover = Handover { receipts: vec![receipt], torrent: None, name: None, length: None };
    walk.post(&api("/receipts"), &supernode.url, &handover, 200).await;
    let query = format!("info_hash={raw_hash}&peer_id=-XX0001-abcdefghijkl&port=7000&left=0");
    walk.get("/announce", &format!("{}/announce?{query}", supernode.url), 302).await;
    walk.get("/scrape", &format!("{}/scrape?info_hash={raw_hash}", supernode.url), 302).await;
    for path in ["/force", "/force.php"] {
        walk.get(path, &format!("{host}{path}"), 410).await;
    }
    for path in ["/index", "/index.php"] {
        walk.get(path, &format!("{host}{path}"), 302).await;
    }
    let root = walk.client.get(format!("{host}/")).send().await.unwrap().status().as_u16();
    walk.get("/", &format!("{host}/"), root).await;
    walk.get("/t/{info_hash}", &format!("{host}/t/{hash}"), 302).await;
    walk.get("/t/{info_hash}", &format!("{host}/t/{unknown}"), 404).await;
    walk.get("/t/{info_hash}", &format!("{host}/t/nonsense"), 400).await;
    walk.get("/healthz", &format!("{host}/healthz"), 200).await;
    walk.get("/metrics", &format!("{host}/metrics"), 200).await;
    walk.get(&api("/mesh"), &format!("{host}/api/v1/mesh"), 400).await;

    // Last, what takes things away.
    walk.post(&api("/withdraw"), host, &withdrawal(&other, key, hash), 404).await;
    walk.post(&api("/withdraw"), &node.url, &withdrawal(&planter, key, hash), 403).await;
    walk.post(&api("/withdraw"), host, &withdrawal(&planter, key, hash), 204).await;

    let mut unseen = BTreeSet::new();
    for path in route_paths() {
        for method in ["get", "post"] {
            let named = !walk.operation(&path, method).is_null();
            if named && !walk.seen.contains(&(path.clone(), method.to_owned())) {
                unseen.insert(format!("{method} {path}"));
            }
        }
    }
    assert!(unseen.is_empty(), "never asked: {unseen:?}");
    assert!(walk.faults.is_empty(), "{}", walk.faults.join("\n"));
}
