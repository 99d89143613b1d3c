//! The log's files, as they are read one by one. What is true of a copy in a folder is true of these: nobody has verified them yet.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use access::chain;
use audit::{Source, plain};
use tlog::{Checkpoint, Holds, TileName, WIDTH};

use super::{Anchor, Answer, Call, Live, LiveError, Standing, Taken, parsed, taken};
use crate::args::Texts;
use crate::audit::folder::longest;
use crate::terminal::tell;

/// How often texts are asked for again that the log's index does not know yet, and how long after.
const AGAIN: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// What is told of a checkpoint that no witness signed.
const UNSIGNED: &str = "no witness has signed the log yet: this checkpoint has the log's own signature alone";
const UNREAD: &str =
    "what the log's witness has signed could not be read: this checkpoint has the log's own signature alone";

/// The files of the cluster's log.
pub struct LiveFiles {
    live: Live,
    texts: Texts,
}

impl LiveFiles {
    /// Of this log. Texts are opened or passed over as if there were none.
    pub fn new(live: Live, texts: Texts) -> Self {
        Self { live, texts }
    }

    /// The log.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The bytes of a file; `None`, where there is no such file.
    pub fn file(&self, path: &str) -> Result<Option<Vec<u8>>, LiveError> {
        // A refusal has its sentence, however short the file may be.
        let limit = usize::try_from(longest(path).max(longest("checkpoint"))).unwrap_or(usize::MAX);
        match path {
            "checkpoint" => {
                let Taken { note, standing } = self.checkpoint()?;
                standing.told().iter().for_each(|told| tell(&plain(told)));
                Ok(Some(note.into_bytes()))
            }
            texts if texts.starts_with("texts/") => match self.texts {
                Texts::Opened => self.opened(texts, limit),
                Texts::Closed => Ok(None),
            },
            tile => there(self.live.ask(Call::file(format!("/{tile}"), limit))?),
        }
    }

    /// The one that the log's witness has signed; where there is none, or the API server does not give it, the log's own, of all that is on
    /// its disk by now.
    pub fn checkpoint(&self) -> Result<Taken, LiveError> {
        // The witness's first: a log that grows meanwhile is not smaller than what its witness has seen.
        let anchor = match self.live.anchor() {
            Err(LiveError::Call(error)) => {
                tell(&plain(&chain(&error)));
                Err(UNREAD)
            }
            read => read?.ok_or(UNSIGNED),
        };
        self.taken("/v1/checkpoint", anchor)
    }

    /// The newest one of the log's files, for whoever looks again and again.
    pub fn newest(&self) -> Result<Taken, LiveError> {
        self.taken("/checkpoint", self.live.anchor()?.ok_or(UNSIGNED))
    }

    /// The log's own checkpoint, of all that is on its disk by now, whether a witness has signed it or not; `None`, where it can't be read.
    pub fn own(&self) -> Result<Option<Checkpoint>, LiveError> {
        Ok(parsed(&self.note("/v1/checkpoint")?))
    }

    fn note(&self, path: &str) -> Result<String, LiveError> {
        let note = self.live.ask(Call::file(path, longest_checkpoint()))?.good()?;
        Ok(String::from_utf8_lossy(&note).into_owned())
    }

    /// By what the witness has seen, or why nobody knows that.
    fn taken(&self, path: &str, anchor: Result<Anchor, &'static str>) -> Result<Taken, LiveError> {
        let own = self.note(path)?;
        Ok(match anchor {
            Ok(anchor) => taken(own, &anchor),
            Err(why) => Taken { note: own, standing: Standing::Own(why) },
        })
    }

    fn opened(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, LiveError> {
        let Some((from, to)) = entries(path) else { return Ok(None) };
        let call = Call::file(format!("/v1/texts?from={from}&to={to}"), limit);
        let mut left = AGAIN;
        loop {
            let answer = self.live.ask(call.clone())?;
            if answer.status != 404 || left == 0 {
                return answer.good().map(Some);
            }
            left = left.saturating_sub(1);
            sleep(PAUSE);
        }
    }
}

impl Source for LiveFiles {
    type Error = io::Error;

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.file(path).map_err(io::Error::other)
    }
}

/// The most bytes of a checkpoint.
fn longest_checkpoint() -> usize {
    usize::try_from(longest("checkpoint")).unwrap_or(usize::MAX)
}

fn there(answer: Answer) -> Result<Option<Vec<u8>>, LiveError> {
    match answer.status {
        404 => Ok(None),
        _ => answer.good().map(Some),
    }
}

/// The entries whose texts a file has: the first, and the one behind the last.
fn entries(path: &str) -> Option<(u64, u64)> {
    let bundle: TileName = format!("tile/entries/{}", path.strip_prefix("texts/")?).parse().ok()?;
    let TileName { holds: Holds::Entries, index, width } = bundle else { return None };
    let from = index.checked_mul(u64::from(WIDTH))?;
    Some((from, from.checked_add(u64::from(width))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_texts_is_asked_for_by_its_entries() {
        assert_eq!(entries("texts/000"), Some((0, 256)));
        assert_eq!(entries("texts/x001/234.p/7"), Some((1234 * 256, 1234 * 256 + 7)));
        for none in ["texts/", "texts/0", "texts/000.p/256", "tile/entries/000", "texts/../000"] {
            assert_eq!(entries(none), None, "{none}");
        }
    }
}
