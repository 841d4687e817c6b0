//! Layers of settings: a flag beats the environment, that the configuration file, and that the default.
//!
//! Knows no setting by name: the flags of `anatomic up`, `node` and `supernode` are the settings, and a key of the file is
//! the name of a flag (`listen = "0.0.0.0:80"`, `no-demo = true`). Keys that no role has are refused. What the settings do
//! is [`crate::process`]'s.

use crate::cli::Failure;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The commands that read the configuration file.
const ROLES: [&str; 3] = ["up", "node", "supernode"];
/// Flags that are no settings.
const NO_SETTINGS: [&str; 5] = ["help", "version", "config", "verbose", "json"];
/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// What a configuration file says: for each key its values as the flag would have them.
#[derive(Debug, Default)]
pub struct File {
    path: PathBuf,
    values: BTreeMap<String, Vec<String>>,
}

impl File {
    /// The file of that name, or that the environment names, or `anatomic.toml` in the program's own folder if it is there.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or has a key that is no setting.
    pub fn find(named: Option<PathBuf>, command: &Command) -> Result<Option<Self>, Failure> {
        let named = named.or_else(|| std::env::var_os("ANATOMIC_CONFIG").map(PathBuf::from));
        let path = match named {
            Some(path) => path,
            None => match crate::node::files::default_folder() {
                Ok(folder) if folder.join("anatomic.toml").is_file() => folder.join("anatomic.toml"),
                _ => return Ok(None),
            },
        };
        let failed = |reason: String| Failure::new(format!("the configuration {}: {reason}", path.display()));
        let length =
            std::fs::metadata(&path).map_err(|error| failed(format!("cannot be read: {error}")))?.len();
        if length > MAX_FILE {
            return Err(failed("it is too long".into()));
        }
        let text =
            std::fs::read_to_string(&path).map_err(|error| failed(format!("cannot be read: {error}")))?;
        let values = read(&text, command).map_err(failed)?;
        Ok(Some(Self { path, values }))
    }

    /// Puts what the file says in the place of the defaults.
    #[must_use]
    pub fn apply(&self, command: Command) -> Command {
        ROLES.iter().fold(command, |command, role| {
            command.mut_subcommand(role, |mut role| {
                for (key, values) in &self.values {
                    let Some(id) = setting(&role, key).map(|arg| arg.get_id().clone()) else { continue };
                    let values: Vec<clap::builder::OsStr> =
                        values.iter().map(|value| OsString::from(value).into()).collect();
                    role = role.mut_arg(id, |arg| arg.default_values(values));
                }
                role
            })
        })
    }
}

/// What the arguments say of a configuration file before that file has changed how they are parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// Whether they start a role, which reads the file.
    pub reads_file: bool,
    /// The file that they name.
    pub named: Option<PathBuf>,
}

/// Parses the arguments as they will be, but for what is wrong with them: another flag's value, or what follows `--`, is
/// no flag however it looks.
#[must_use]
pub fn glance(args: &[OsString], command: &Command) -> Glance {
    let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(args) else {
        return Glance::default();
    };
    let of = |matches: &ArgMatches| matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let below = matches.subcommand();
    Glance {
        reads_file: below.is_some_and(|(name, _)| ROLES.contains(&name)),
        named: below.and_then(|(_, matches)| of(matches)).or_else(|| of(&matches)),
    }
}

fn read(text: &str, command: &Command) -> Result<BTreeMap<String, Vec<String>>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let roles: Vec<&Command> = ROLES.iter().filter_map(|role| command.find_subcommand(role)).collect();
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let key = key.replace('_', "-");
        if !roles.iter().any(|role| setting(role, &key).is_some()) {
            return Err(unknown(&key, &roles));
        }
        let one = |value: &toml::Value| match value {
            toml::Value::String(text) => Ok(text.clone()),
            toml::Value::Integer(number) => Ok(number.to_string()),
            toml::Value::Float(number) => Ok(number.to_string()),
            toml::Value::Boolean(truth) => Ok(truth.to_string()),
            _ => Err(format!("{key:?} must be a text, a number, true or false, or a list of them")),
        };
        let list = match &value {
            toml::Value::Array(list) => list.iter().map(one).collect::<Result<Vec<_>, _>>()?,
            value => vec![one(value)?],
        };
        values.insert(key, list);
    }
    Ok(values)
}

fn setting<'a>(role: &'a Command, key: &str) -> Option<&'a Arg> {
    settings(role).find(|arg| arg.get_long() == Some(key))
}

fn settings(role: &Command) -> impl Iterator<Item = &Arg> {
    role.get_arguments().filter(|arg| arg.get_long().is_some_and(|long| !NO_SETTINGS.contains(&long)))
}

fn unknown(key: &str, roles: &[&Command]) -> String {
    let known = roles.iter().flat_map(|role| settings(role)).filter_map(Arg::get_long);
    let nearest = known
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(3) / 2);
    match nearest {
        Some((_, known)) => format!("there is no setting {key:?}; perhaps {known:?} is meant"),
        None => format!("there is no setting {key:?}; `anatomic config` prints all"),
    }
}

/// Every setting of a role with its value and where that came from, as a configuration file.
#[must_use]
pub fn print(role: &Command, matches: &ArgMatches, file: Option<&File>) -> String {
    let mut text = format!("# anatomic {}\n", role.get_name());
    for arg in settings(role) {
        let (id, long) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
        let raw = matches.try_get_raw(id).ok().flatten();
        let values: Vec<String> =
            raw.into_iter().flatten().map(|value| redacted(&value.to_string_lossy())).collect();
        let in_file = file.filter(|file| file.values.contains_key(long));
        let source = match (matches.value_source(id), in_file) {
            (Some(ValueSource::CommandLine), _) => format!("flag --{long}"),
            (Some(ValueSource::EnvVariable), _) => {
                format!("environment {}", arg.get_env().unwrap_or_default().to_string_lossy())
            }
            (Some(_), Some(file)) => format!("file {}", file.path.display()),
            _ => "default".to_owned(),
        };
        let flag = !arg.get_action().takes_values();
        let many = matches!(arg.get_action(), clap::ArgAction::Append);
        let quoted = |value: &String| toml::Value::String(value.clone()).to_string();
        let line = match values.as_slice() {
            [] if flag => format!("{long} = false"),
            [] => format!("# {long} is not set"),
            [value] if flag => format!("{long} = {value}"),
            [value] if !many => format!("{long} = {}", quoted(value)),
            values => format!("{long} = [{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", ")),
        };
        text.push_str(&format!("{line:<48} # {source}\n"));
    }
    text
}

/// A value without the password of a URL in it.
fn redacted(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let Some((login, host)) = rest.split_once('@') else { return value.to_owned() };
    match login.split_once(':') {
        Some((name, _)) => format!("{scheme}://{name}:***@{host}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory as _;

    fn file(text: &str) -> Result<File, String> {
        read(text, &Cli::command()).map(|values| File { path: "/etc/a.toml".into(), values })
    }

    fn printed(text: &str, args: &[&str]) -> String {
        let file = file(text).unwrap();
        let mut command = file.apply(Cli::command());
        let matches = command.try_get_matches_from_mut(args).unwrap();
        let (role, matches) = matches.subcommand().unwrap();
        print(command.find_subcommand(role).unwrap(), matches, Some(&file))
    }

    fn line<'a>(printed: &'a str, key: &str) -> &'a str {
        printed.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap_or_default()
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_the_default() {
        let text =
            "listen = \"0.0.0.0:80\"\nno_demo = true\nproxy = [\"10.0.0.0/8\", \"::1\"]\nplanting = 'key'";
        let out = printed(text, &["anatomic", "up", "--planting", "off"]);
        assert!(line(&out, "listen").starts_with("listen = \"0.0.0.0:80\""), "{out}");
        assert!(line(&out, "listen").ends_with("# file /etc/a.toml"));
        assert!(line(&out, "no-demo").starts_with("no-demo = true"), "{out}");
        assert!(line(&out, "proxy").starts_with("proxy = [\"10.0.0.0/8\", \"::1\"]"), "{out}");
        assert!(line(&out, "planting").ends_with("# flag --planting"), "{out}");
        assert!(line(&out, "open-bridge").ends_with("# default"), "{out}");
        let again: toml::Table = out.parse().unwrap();
        assert_eq!(again["listen"].as_str(), Some("0.0.0.0:80"), "what is printed is a file again");
    }

    #[test]
    fn a_file_may_hold_settings_of_other_roles() {
        let out = printed("udp-tracker = \"off\"\nlisten = \"1.1.1.1:1\"", &["anatomic", "supernode"]);
        assert!(line(&out, "listen").contains("1.1.1.1:1"));
        assert!(!out.contains("udp-tracker"));
    }

    #[test]
    fn an_unknown_key_is_refused_and_the_nearest_known_one_named() {
        assert_eq!(
            file("lisen = \"x\"").unwrap_err(),
            "there is no setting \"lisen\"; perhaps \"listen\" is meant"
        );
        assert!(file("qqqqqqqqqqqqqq = 1").unwrap_err().contains("anatomic config"));
        assert!(file("help = true").is_err() && file("[node]\nlisten = 1").is_err());
        assert!(file("listen = ").is_err());
    }

    #[test]
    fn a_bad_value_in_the_file_is_refused_like_a_bad_flag() {
        let file = file("listen = \"nowhere\"").unwrap();
        let error = file.apply(Cli::command()).try_get_matches_from(["anatomic", "up"]).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }

    #[test]
    fn passwords_are_not_printed() {
        assert_eq!(redacted("postgres://me:secret@db/x"), "postgres://me:***@db/x");
        assert_eq!(redacted("http://h/"), "http://h/");
    }

    #[test]
    fn the_file_is_named_by_a_flag_and_by_nothing_that_only_looks_like_one() {
        let glance = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            let seen = glance(&args, &Cli::command());
            (seen.reads_file, seen.named.map(|path| path.display().to_string()).unwrap_or_default())
        };
        let said = |reads: bool, path: &str| (reads, path.to_owned());
        assert_eq!(glance(&["a", "up", "--config", "x"]), said(true, "x"));
        assert_eq!(glance(&["a", "--config=y", "node"]), said(true, "y"));
        assert_eq!(glance(&["a", "up"]), said(true, ""));
        assert_eq!(glance(&["a", "get", "up"]), said(false, ""), "a file named up");
        assert_eq!(glance(&["a", "up", "--data=--config=z"]), said(true, ""));
        assert_eq!(glance(&["a", "get", "--", "--config", "x"]), said(false, ""));
    }
}
