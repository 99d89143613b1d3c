//! Where something is in a log, in words.

use std::fmt;

use record::{StreamName, Uid};

/// Where something is: `entry 7, grant 4f9c, stream operator/3: `.
pub(crate) fn place(
    f: &mut fmt::Formatter<'_>,
    index: Option<u64>,
    grant: Option<&Uid>,
    stream: Option<&StreamName>,
) -> fmt::Result {
    let index = index.map(|index| format!("entry {index}"));
    // A proxy's stream has the grant in its name.
    let grant = grant.filter(|grant| stream.and_then(StreamName::grant) != Some(grant));
    let parts =
        [index, grant.map(|grant| format!("grant {grant}")), stream.map(|name| format!("stream {name}"))];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    if known.is_empty() { Ok(()) } else { write!(f, "{}: ", known.join(", ")) }
}
