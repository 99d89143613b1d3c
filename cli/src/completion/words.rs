//! What may come next, from the words so far and the plug-in's own command line. Pure; names of objects are left to be asked
//! for.

use clap::{Arg, Command};

/// One word that may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The word.
    pub word: String,
    /// What it is; may be empty.
    pub says: String,
}

/// Objects whose names may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every Database.
    Database,
    /// Requests that wait for approval.
    Undecided,
    /// Requests that are not over.
    Request,
    /// Grants that people can connect to, now or soon.
    LiveGrant,
    /// Every grant.
    Grant,
}

/// What may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// These words, or none.
    Words(Vec<Candidate>),
    /// A file.
    Files,
    /// Names of objects.
    Names {
        /// Of which kinds.
        kinds: Vec<Kind>,
        /// The options that say where to look, with their values.
        place: Vec<String>,
        /// The names that stand there already.
        given: Vec<String>,
        /// How the name begins.
        prefix: String,
    },
}

/// What may come in place of the last word.
pub fn wanted(root: &Command, words: &[String]) -> Wanted {
    let Some((prefix, before)) = words.split_last() else { return Wanted::Words(Vec::new()) };
    let read = Read::new(root, before);
    if read.is_after_dashes {
        return Wanted::Files;
    }
    if let Some(option) = read.open {
        return value_of(option, prefix);
    }
    if prefix.starts_with('-') {
        return Wanted::Words(options(read.command, prefix));
    }
    if read.command.has_subcommands() {
        return Wanted::Words(subcommands(read.command, prefix));
    }
    // Not those behind `--`.
    let positions: Vec<&Arg> = read.command.get_positionals().filter(|arg| !arg.is_last_set()).collect();
    let next = positions.get(read.given.len());
    let position = next.or_else(|| positions.last().filter(|arg| is_repeated(arg)));
    let Some(position) = position else { return Wanted::Words(Vec::new()) };
    let kinds = kinds(read.command.get_name());
    if kinds.is_empty() {
        return value_of(position, prefix);
    }
    Wanted::Names { kinds: kinds.to_vec(), place: read.place, given: read.given, prefix: prefix.clone() }
}

/// The kinds of objects that a command takes by name.
fn kinds(command: &str) -> &'static [Kind] {
    match command {
        "request" | "vault-setup" => &[Kind::Database],
        "approve" | "deny" => &[Kind::Undecided],
        "status" => &[Kind::Request],
        "connect" => &[Kind::LiveGrant, Kind::Database],
        "token" | "revoke" => &[Kind::LiveGrant],
        "receipt" | "show" => &[Kind::Grant],
        "doctor" => &[Kind::Request, Kind::Database],
        _ => &[],
    }
}

/// The words that are complete.
struct Read<'a> {
    command: &'a Command,
    /// The option whose value comes next.
    open: Option<&'a Arg>,
    is_after_dashes: bool,
    place: Vec<String>,
    given: Vec<String>,
}

impl<'a> Read<'a> {
    fn new(root: &'a Command, words: &[String]) -> Self {
        let mut read =
            Self { command: root, open: None, is_after_dashes: false, place: Vec::new(), given: Vec::new() };
        for word in words {
            read.take(word);
        }
        read
    }

    fn take(&mut self, word: &str) {
        if self.is_after_dashes {
            return;
        }
        if let Some(option) = self.open.take() {
            if option.is_global_set() {
                self.place.push(word.to_owned());
            }
        } else if word == "--" {
            self.is_after_dashes = true;
        } else if word.starts_with('-') {
            self.take_option(word);
        } else if let Some(command) = self.command.find_subcommand(word) {
            self.command = command;
        } else {
            self.given.push(word.to_owned());
        }
    }

    fn take_option(&mut self, word: &str) {
        let name = word.split('=').next().unwrap_or(word);
        let found = self.command.get_arguments().find(|arg| is_called(arg, name));
        let Some(option) = found else { return };
        if option.is_global_set() {
            self.place.push(word.to_owned());
        }
        if option.get_action().takes_values() && !word.contains('=') {
            self.open = Some(option);
        }
    }
}

/// Whether the option is written so: `--namespace`, `-n`.
fn is_called(option: &Arg, word: &str) -> bool {
    let long = option.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
    long || option.get_short().is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str()))
}

fn is_repeated(position: &Arg) -> bool {
    position.get_num_args().is_some_and(|count| count.max_values() > 1)
}

fn value_of(argument: &Arg, prefix: &str) -> Wanted {
    let is_path = |name: &clap::builder::Str| ["FILE", "DIR", "DIR|URL"].contains(&name.as_str());
    let is_file = argument.get_value_names().is_some_and(|names| names.iter().any(is_path));
    let values = argument.get_possible_values();
    if is_file && values.is_empty() {
        return Wanted::Files;
    }
    let shown = values.iter().filter(|value| !value.is_hide_set() && value.get_name().starts_with(prefix));
    Wanted::Words(
        shown.map(|value| Candidate { word: value.get_name().to_owned(), says: String::new() }).collect(),
    )
}

fn options(command: &Command, prefix: &str) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let named = shown.filter_map(|arg| {
        let word = format!("--{}", arg.get_long()?);
        let says = arg.get_help().map(|help| help.to_string()).unwrap_or_default();
        word.starts_with(prefix).then_some(Candidate { word, says })
    });
    named.collect()
}

fn subcommands(command: &Command, prefix: &str) -> Vec<Candidate> {
    let shown =
        command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name().starts_with(prefix));
    shown
        .map(|sub| Candidate {
            word: sub.get_name().to_owned(),
            says: sub.get_about().map(|about| about.to_string()).unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    fn told(words: &[&str]) -> Wanted {
        let mut command = Cli::command();
        command.build();
        wanted(&command, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn plain(words: &[&str]) -> Vec<String> {
        match told(words) {
            Wanted::Words(candidates) => candidates.into_iter().map(|candidate| candidate.word).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn names(kinds: &[Kind], place: &[&str], given: &[&str], prefix: &str) -> Wanted {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Wanted::Names {
            kinds: kinds.to_vec(),
            place: owned(place),
            given: owned(given),
            prefix: prefix.to_owned(),
        }
    }

    #[test]
    fn commands_and_options_come_by_how_they_begin() {
        assert_eq!(plain(&["re"]), ["request", "revoke", "receipt"]);
        assert!(plain(&[""]).contains(&"doctor".to_owned()));
        assert_eq!(plain(&["approve", "--com"]), ["--comment"]);
        assert_eq!(plain(&["audit", ""]).first().map(String::as_str), Some("copy"));
        assert_eq!(plain(&["audit", "show", "--pol"]), ["--policy"]);
        assert_eq!(plain(&["approve", "--request-t"]), ["--request-timeout"]);
    }

    #[test]
    fn names_are_looked_for_where_the_words_say() {
        let approve = told(&["-n", "shop", "approve", "a", "--context=blue", "--comment", "fine", "b"]);
        assert_eq!(approve, names(&[Kind::Undecided], &["-n", "shop", "--context=blue"], &["a"], "b"));
        assert_eq!(told(&["connect", ""]), names(&[Kind::LiveGrant, Kind::Database], &[], &[], ""));
        assert_eq!(told(&["audit", "show", ""]), names(&[Kind::Grant], &[], &[], ""));
        assert_eq!(told(&["request", "or"]), names(&[Kind::Database], &[], &[], "or"));
    }

    #[test]
    fn a_command_that_has_its_name_gets_no_second_one() {
        assert_eq!(plain(&["connect", "orders", ""]), <[String; 0]>::default());
        assert_eq!(plain(&["pending", ""]), <[String; 0]>::default());
        assert_eq!(plain(&["audit", "show", "look", ""]), <[String; 0]>::default());
        assert_eq!(plain(&["audit", "search", ""]), <[String; 0]>::default(), "it takes options alone");
        assert!(matches!(told(&["approve", "a", ""]), Wanted::Names { .. }), "it takes several");
    }

    #[test]
    fn values_of_options_come_where_they_are_known_and_files_where_a_file_is_meant() {
        assert_eq!(plain(&["status", "look", "-o", ""]), ["json", "yaml"]);
        assert_eq!(plain(&["completion", "k"]), ["kubectl"]);
        assert_eq!(plain(&["request", "orders", "--reason", ""]), <[String; 0]>::default());
        assert_eq!(told(&["--kubeconfig", ""]), Wanted::Files);
        assert_eq!(told(&["connect", "orders", "--", ""]), Wanted::Files);
        assert_eq!(told(&["audit", "verify", ""]), Wanted::Files);
        assert_eq!(told(&["audit", "copy", ""]), Wanted::Files);
        assert_eq!(told(&["audit", "export", "--dir", ""]), Wanted::Files);
        assert_eq!(plain(&["audit", "search", "--kind", "session-o"]), ["session-open"]);
        assert_eq!(plain(&["audit", "export", "--format", "o"]), ["ocsf"]);
    }
}
