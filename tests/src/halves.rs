//! A network in two halves that can be cut apart and joined again: network namespaces with a router between them.
//!
//! Real sockets and a real cut: while it lasts, packets between the halves vanish without a word, as they do when a cable
//! breaks somewhere. Needs root and the program `ip`.

use std::net::Ipv4Addr;
use std::process::Command as Blocking;

use tokio::process::Command;

/// Set to anything, it lets tests pass that could not run because namespaces are refused.
pub const MAY_LACK: &str = "ANATOMIC_WITHOUT_NAMESPACES";

/// Where a program runs: here, or in one of the halves; and with which variables of its environment.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its address there.
    pub ip: Ipv4Addr,
    namespace: Option<String>,
    env: Vec<(String, String)>,
}

impl Place {
    /// On this machine as it is, on 127.0.0.1.
    #[must_use]
    pub fn here() -> Self {
        Self { ip: Ipv4Addr::LOCALHOST, namespace: None, env: Vec::new() }
    }

    /// The same place with variables of the environment.
    #[must_use]
    pub fn with(mut self, env: &[(String, String)]) -> Self {
        self.env.extend_from_slice(env);
        self
    }

    /// Whether it is another network than the test's own.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.namespace.is_some()
    }

    /// The same command, run there.
    #[must_use]
    pub fn enter(&self, mut command: Command) -> Command {
        command.envs(self.env.iter().cloned());
        let Some(namespace) = &self.namespace else { return command };
        let command = command.as_std();
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }
}

/// The two halves. Dropping it removes them.
pub struct Halves {
    names: [String; 3],
}

impl Halves {
    /// Two halves that reach each other. `None` where namespaces are refused and [`MAY_LACK`] is set; says so.
    ///
    /// # Panics
    /// Where they are refused and it is not set.
    #[must_use]
    pub fn new() -> Option<Self> {
        let name = |part: &str| format!("anatomic-{}-{part}", std::process::id());
        let halves = Self { names: [name("one"), name("two"), name("router")] };
        match halves.set_up() {
            Ok(()) => Some(halves),
            Err(reason) if std::env::var_os(MAY_LACK).is_some() => {
                eprintln!("NOT RUN: network namespaces are refused here: {reason}");
                None
            }
            Err(reason) => panic!(
                "this test cuts a network in two and needs network namespaces, which are refused here: {reason}. \
                 Run it as root with iproute2 installed, or set {MAY_LACK}=1 to go without it"
            ),
        }
    }

    /// The first half, or the second.
    #[must_use]
    pub fn place(&self, half: usize) -> Place {
        Place {
            ip: Ipv4Addr::new(10, 213, half as u8 + 1, 1),
            namespace: Some(self.names[half].clone()),
            env: Vec::new(),
        }
    }

    /// From now on nothing passes between the halves.
    ///
    /// # Panics
    /// When the router cannot be told.
    pub fn cut(&self) {
        self.forward("0").expect("the router obeys");
    }

    /// Everything passes again.
    ///
    /// # Panics
    /// When the router cannot be told.
    pub fn join(&self) {
        self.forward("1").expect("the router obeys");
    }

    fn forward(&self, value: &str) -> Result<(), String> {
        let script = format!("echo {value} > /proc/sys/net/ipv4/ip_forward");
        run("ip", &["netns", "exec", &self.names[2], "sh", "-c", &script])
    }

    fn set_up(&self) -> Result<(), String> {
        let router = self.names[2].as_str();
        for name in &self.names {
            run("ip", &["netns", "add", name])?;
            run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        }
        for (half, wire) in ["wire1", "wire2"].into_iter().enumerate() {
            let name = self.names[half].as_str();
            let (own, gate) = (format!("10.213.{}.1", half + 1), format!("10.213.{}.254", half + 1));
            let (own_net, gate_net) = (format!("{own}/24"), format!("{gate}/24"));
            run(
                "ip",
                &[
                    "-n", router, "link", "add", "name", wire, "type", "veth", "peer", "name", "wire",
                    "netns", name,
                ],
            )?;
            run("ip", &["-n", name, "addr", "add", &own_net, "dev", "wire"])?;
            run("ip", &["-n", router, "addr", "add", &gate_net, "dev", wire])?;
            run("ip", &["-n", name, "link", "set", "wire", "up"])?;
            run("ip", &["-n", router, "link", "set", wire, "up"])?;
            run("ip", &["-n", name, "route", "add", "default", "via", &gate])?;
        }
        self.forward("1")
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        for name in &self.names {
            // What is not there need not go.
            let _ = Blocking::new("ip").args(["netns", "del", name]).output();
        }
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Blocking::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program} {}`: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
