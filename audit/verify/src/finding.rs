//! What is wrong with a log, in sentences for an auditor.

use std::fmt;

use record::{StreamName, Time, Uid};
use serde::Serialize;

use crate::place::place;

/// One thing that is wrong, and where. Its text is a sentence; its JSON is for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The index of the entry, where one is known.
    pub index: Option<u64>,
    /// The grant, where one is known.
    pub grant: Option<Uid>,
    /// The stream, where it is about one.
    pub stream: Option<StreamName>,
    /// What.
    pub wrong: Wrong,
}

/// What is wrong. Paths are those of the log's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "finding", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Wrong {
    /// The entries are not there.
    #[error("the entry bundle {path} is missing: what its entries said cannot be read from this copy")]
    BundleMissing {
        /// The file.
        path: String,
    },
    /// The entries cannot be told apart.
    #[error("the entry bundle {path} is damaged or altered ({why})")]
    BundleDamaged {
        /// The file.
        path: String,
        /// What is wrong with its bytes.
        why: String,
    },
    /// Hashes are not there.
    #[error("the tile {path} is missing: proofs that need it cannot be made from this copy")]
    TileMissing {
        /// The file.
        path: String,
    },
    /// A file of hashes that is none.
    #[error("the tile {path} is damaged or altered ({why})")]
    TileDamaged {
        /// The file.
        path: String,
        /// What is wrong with its bytes.
        why: String,
    },
    /// A hash of nodes is another.
    #[error("the tile {path} is altered: its hash {number} does not follow from what is below it")]
    TileDiffers {
        /// The file.
        path: String,
        /// Which of its hashes, from 0.
        number: usize,
    },
    /// Entry and leaf hash differ.
    #[error("the entry is not the one whose hash stands in the tile {path}: one of the two was altered")]
    EntryDiffers {
        /// The tile.
        path: String,
    },
    /// The tree cannot be followed any more.
    #[error(
        "from here on neither entries nor tiles say how the tree goes on, so that nothing ties them to the checkpoint"
    )]
    TreeLost,
    /// Another root.
    #[error(
        "the entries do not lead to the root that the checkpoint signs: entries or checkpoint were altered, or the log lies"
    )]
    Root,
    /// So many bundles are missing that no more are asked for.
    #[error("256 entry bundles after each other are missing: the rest was not read")]
    TooMuchMissing,
    /// Entries that no pruning explains.
    #[error("the entries from {from} to {to} are gone, and no record says that they were pruned")]
    EntriesGone {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Entries that were removed too soon, by what is said of them.
    #[error("the record says that entries older than {before} were removed, and that was not 30 days before")]
    PrunedEarly {
        /// What they are all older than.
        before: Time,
    },
    /// Entries that were removed and are said to have been older.
    #[error("earlier records of the stream were removed that were not as old as the record `prune` says")]
    PrunedYounger,
    /// The log was larger before.
    #[error(
        "the log had {before} entries when the older checkpoint was signed and has {now}: entries were taken away"
    )]
    Shrunk {
        /// Then.
        before: u64,
        /// Now.
        now: u64,
    },
    /// The log was another before.
    #[error("the log has not grown out of the older checkpoint of {before} entries: its past was rewritten")]
    Rewritten {
        /// How many entries it had.
        before: u64,
    },
    /// No record.
    #[error("the entry is no record that Keyhole writes ({why}): it was altered, or put in by somebody else")]
    NoRecord {
        /// Why.
        why: String,
    },
    /// Records of a stream are missing.
    #[error("records {expected} to {last} of the stream are missing before this one")]
    Gap {
        /// The first that is missing.
        expected: u64,
        /// The last.
        last: u64,
    },
    /// A number twice.
    #[error("the stream has record {n} already: it was written twice, or there are two histories of it")]
    TwoHistories {
        /// The number.
        n: u64,
    },
    /// The chain is broken.
    #[error(
        "record {n} of the stream does not follow the one before it: one of them was altered or replaced"
    )]
    NotAfter {
        /// The number.
        n: u64,
    },
    /// The stream was closed.
    #[error("the stream was closed before this record: nobody could have written it")]
    AfterClose,
    /// A stream that begins otherwise.
    #[error("the stream begins with a record of kind {kind}: what comes first of it is missing")]
    Begins {
        /// The kind.
        kind: String,
    },
    /// A stream begins in its midst.
    #[error("the stream begins again in its midst")]
    BeginsAgain,
    /// A log's stream in another place than its name says.
    #[error("a start of the log names itself after entry {named} and stands elsewhere")]
    StartElsewhere {
        /// Its name.
        named: u64,
    },
    /// An earlier life of the log.
    #[error("a record of an earlier start of the log, which was over")]
    EarlierStart,
    /// Another log.
    #[error("a start of another log, {origin}: entries of two logs were mixed")]
    OtherOrigin {
        /// Its name.
        origin: String,
    },
    /// A key that is none.
    #[error("a key is announced that is no key of this log")]
    BadKey,
    /// About what is not there yet.
    #[error("the record speaks of entry {entry}, which did not exist yet")]
    Ahead {
        /// The entry.
        entry: u64,
    },
    /// A record about no grant.
    #[error("a record of kind {kind} that names no grant")]
    WithoutGrant {
        /// The kind.
        kind: String,
    },
    /// The closing words.
    #[error(
        "the stream closes with the count {said} and has {found} records before: its end was altered, or records are missing"
    )]
    CloseCount {
        /// As it says.
        said: u64,
        /// As it is.
        found: u64,
    },
    /// The closing words.
    #[error("the stream closes with another head than its last record: its end was altered or replaced")]
    CloseHead,
    /// A session's number again.
    #[error("session {session} was opened before")]
    SessionTwice {
        /// The number.
        session: u64,
    },
    /// A session that is not open.
    #[error("session {session} is not open: its beginning is missing, or the record does not belong here")]
    SessionUnknown {
        /// The number.
        session: u64,
    },
    /// A session before the proxy could serve one.
    #[error(
        "session {session} was opened before a credential was read: how the proxy came by one is not on record"
    )]
    SessionWithoutCredential {
        /// The number.
        session: u64,
    },
    /// A session without end.
    #[error("session {session} has no end, though its stream was closed")]
    SessionNotClosed {
        /// The number.
        session: u64,
    },
    /// Two statements at once.
    #[error("a statement begins while the outcome of statement {of} of the same session is missing")]
    OutcomeMissing {
        /// The statement's number in its stream.
        of: u64,
    },
    /// A statement without outcome.
    #[error("statement {of} has no outcome, though its stream was closed")]
    NoOutcome {
        /// The statement's number in its stream.
        of: u64,
    },
    /// An outcome of nothing.
    #[error("the record goes on with record {of} of its stream, which is no statement")]
    NoStatement {
        /// The number that it names.
        of: u64,
    },
    /// A second outcome.
    #[error("statement {of} has an outcome already")]
    OutcomeTwice {
        /// The statement's number in its stream.
        of: u64,
    },
    /// More rows before any.
    #[error("more rows were fetched of statement {of} before it had an outcome")]
    FetchedBefore {
        /// The statement's number in its stream.
        of: u64,
    },
    /// A stream that is not there.
    #[error("the record speaks of the stream {named}, of which nothing is in the log")]
    NoStream {
        /// The stream.
        named: StreamName,
    },
    /// Two proxies under one token.
    #[error("the token is another proxy's: one of the two, the operator never put on record")]
    AccessorTwice,
    /// A credential too early.
    #[error("a credential was read before its token's owner was on record")]
    CredentialWithoutOwner,
    /// A credential too early.
    #[error(
        "a credential was read by a proxy whose pod the operator had not put on record: nobody says that it was allowed to"
    )]
    CredentialWithoutPod,
    /// A pod without a stream.
    #[error(
        "the operator put a proxy on record ({pod}) of which there is no stream: all that it wrote is missing"
    )]
    PodWithoutStream {
        /// The name of the pod.
        pod: String,
    },
    /// A step without the one before it.
    #[error("a record of kind {kind} whose {before} is not on record")]
    StepMissing {
        /// The kind.
        kind: String,
        /// What should come before it.
        before: String,
    },
    /// An approval that cannot count.
    #[error("an approval counts that is of somebody who asked for the access")]
    OwnApproval,
    /// What goes on though it was over.
    #[error(
        "a record of kind {kind} after the receipt of its grant, entry {receipt}, by which nothing of it could go on"
    )]
    AfterReceipt {
        /// The kind.
        kind: String,
        /// The entry of the receipt.
        receipt: u64,
    },
    /// Two records say different things of one grant.
    #[error(
        "the record names another {field} than the record of kind {than} that it follows from: one of the two is false"
    )]
    SaysOtherwise {
        /// `user`, `submittedBy`, `database`, `namespace`, `name` or `terms`.
        field: &'static str,
        /// The kind of the other record.
        than: &'static str,
    },
    /// One id, two records.
    #[error("the id {id} stands on two records that say different things: one of them is false")]
    SameId {
        /// The id.
        id: String,
    },
    /// A receipt that counts otherwise.
    #[error("the receipt has {said} records of {named}, as its proxy counted them, and the log has {found}")]
    ReceiptCount {
        /// The stream.
        named: StreamName,
        /// By the receipt.
        said: u64,
        /// In the log.
        found: u64,
    },
    /// A receipt with another head.
    #[error(
        "the receipt has another last record of {named} than the log: the stream or the receipt was altered"
    )]
    ReceiptHead {
        /// The stream.
        named: StreamName,
    },
    /// A receipt, or last words, of another grant's stream.
    #[error("the record counts or tells of {named}, which is another grant's stream")]
    ForeignStream {
        /// The stream.
        named: StreamName,
    },
    /// A file of texts that is none.
    #[error("the texts {path} are damaged or altered ({why})")]
    TextsDamaged {
        /// The file.
        path: String,
        /// What is wrong with its bytes.
        why: String,
    },
    /// Another text.
    #[error(
        "the text beside the record is not the one that its writer is bound to: it was altered or exchanged"
    )]
    TextDiffers,
    /// A text that the record does not have.
    #[error("there is a text beside a record that has none")]
    TextUnasked,
    /// A text that is no payload.
    #[error("the text beside the record is the one that its writer is bound to, and no payload")]
    TextUnreadable,
    /// Texts are missing.
    #[error("{count} texts of the grant are missing from here on, and no record says that they were erased")]
    TextsMissing {
        /// How many.
        count: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, grant, stream, wrong } = self;
        place(f, *index, grant.as_ref(), stream.as_ref())?;
        write!(f, "{wrong}")
    }
}

/// As a program reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a, W> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a Uid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a StreamName>,
    #[serde(flatten)]
    what: &'a W,
    says: String,
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { index, grant, stream, wrong } = self;
        let (grant, stream) = (grant.as_ref(), stream.as_ref());
        Form { index: *index, grant, stream, what: wrong, says: wrong.to_string() }.serialize(serializer)
    }
}
