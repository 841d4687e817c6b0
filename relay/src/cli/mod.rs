//! The command line: one tree of commands, each in a file of its own.
//!
//! Holds no behaviour beyond parsing, logging and exit codes; a command's file does its work.
//!
//! Exit codes: 0 done, 1 failed (one line on stderr says what, why and what to do), 2 wrong usage,
//! 130 ended by Ctrl-C before it was done.

pub mod block;
pub mod client;
pub mod config;
pub mod create;
pub mod get;
pub mod given;
pub mod health;
pub mod inspect;
pub mod known;
pub mod node;
pub mod plant;
pub mod progress;
pub mod search;
pub mod seed;
pub mod source;
pub mod supernode;
pub mod supernodes;
pub mod up;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::fmt;
use std::process::ExitCode;

/// BitTorrent for the browser age: a relay between browsers and classic clients, and a client for the terminal.
#[derive(Debug, Parser)]
#[command(name = "anatomic", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// File with settings of `up`, `node` and `supernode` [default: anatomic.toml in the folder of Anatomic's data]
    #[arg(long, global = true, value_name = "FILE", env = "ANATOMIC_CONFIG")]
    pub config: Option<std::path::PathBuf>,
    /// Print what happens inside on stderr; twice for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run node, supernode and web page in one process, with no configuration
    Up(up::Args),
    /// Run a node: a tracker and a bridge between browsers and classic clients
    Node(node::Args),
    /// Run a supernode: the index of planted torrents
    Supernode(supernode::Args),
    /// Print every setting of a role and where its value came from
    Config(config::Args),
    /// Plant files, a torrent or a magnet on the network and print its link
    Plant(plant::Args),
    /// Say how a planted link fares: its nodes, their leases, who is in the swarm
    Health(health::Args),
    /// Renew a planted link's leases, and find nodes for those that are gone
    Replant(health::ReplantArgs),
    /// Have nodes and supernodes forget what you planted
    Unplant(health::Args),
    /// Serve a torrent no more, or again; show the block list
    Block(block::Args),
    /// Find planted torrents by words
    Search(search::Args),
    /// Show, update or change the list of supernodes
    Supernodes(supernodes::Args),
    /// Download a torrent, verify it, and end
    Get(get::Args),
    /// Give others what lies in a folder
    Seed(seed::Args),
    /// Make a torrent from files and folders
    Create(create::Args),
    /// Say what is inside a torrent, magnet or planted link
    Inspect(inspect::Args),
}

/// Why a command ended without doing what it should.
#[derive(Debug)]
pub struct Failure {
    /// One line for a person: what failed, why, what to do.
    pub reason: String,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// An ordinary failure, exit code 1.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), code: 1 }
    }

    /// Ended by Ctrl-C before it was done, exit code 130.
    #[must_use]
    pub fn interrupted() -> Self {
        Self { reason: "interrupted; run the same command again to go on".to_owned(), code: 130 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}

/// Parses the command line, runs the command and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(failure) => {
            eprintln!("anatomic: {failure}");
            return ExitCode::from(failure.code);
        }
    };
    start_log(cli.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("anatomic: the runtime could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli.command));
    // Blocking threads may hold a slow disk or a name lookup; a finished command does not wait for them.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("anatomic: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Parses the command line over the configuration file.
fn parse() -> Result<Cli, Failure> {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let mut command = Cli::command();
    let glance = crate::config::glance(&args, &command);
    if glance.reads_file
        && let Some(file) = crate::config::File::find(glance.named, &command)?
    {
        command = file.apply(command);
    }
    // Wrong usage and --help end the process here, as clap does it.
    let matches = command.get_matches_from(args);
    Cli::from_arg_matches(&matches).map_err(Failure::new)
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Node(args) => node::run(args).await,
        Command::Supernode(args) => supernode::run(args).await,
        Command::Config(args) => config::run(&args),
        Command::Plant(args) => plant::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Replant(args) => health::replant(args).await,
        Command::Unplant(args) => health::unplant(args).await,
        Command::Block(args) => block::run(args).await,
        Command::Search(args) => search::run(args).await,
        Command::Supernodes(args) => supernodes::run(args).await,
        Command::Get(args) => get::run(args).await,
        Command::Seed(args) => seed::run(args).await,
        Command::Create(args) => create::run(args).await,
        Command::Inspect(args) => inspect::run(args).await,
    }
}

/// Logs go to stderr: warnings by default, `-v` and `-vv` for more, `ANATOMIC_LOG` for a filter of one's own.
fn start_log(verbose: u8) {
    let default = match verbose {
        // The WebRTC stack warns of every ordinary connection; whoever looks for something asks for more.
        0 => "warn,rtc=error,rtc_dtls=error,rtc_ice=error,rtc_sctp=error,rtc_datachannel=error",
        1 => "warn,anatomic=info,anatomic_relay=info,anatomic_engine=info",
        _ => "warn,anatomic=debug,anatomic_relay=debug,anatomic_engine=debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("ANATOMIC_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    // A second subscriber in one process (tests) is no error.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }
}
