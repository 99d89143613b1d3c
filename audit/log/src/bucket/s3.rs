//! A bucket behind the interface of S3, by the library `object_store`: one attempt for each call, and a checksum with each object.
//!
//! What the library says of a failure is taken apart here: of an answer only its code is kept, and nothing of what was sent.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use aws_lc_rs::rand;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use object_store::{
    Error, ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::sweep::LeftOver;
use super::way::Way;
use super::{Bucket, BucketError, Created, Place, S3Error, rest_after};
use crate::engine::volume::File;

/// How long an answer may take for which others wait; and more for each MiB, if the object has one.
const SOON: Duration = Duration::from_secs(2);

/// How many calls are under way at once, where several are made.
const AT_ONCE: usize = 16;

/// The longest code of an answer that is believed to be one.
const LONGEST_CODE: usize = 64;

/// A bucket of S3. Each call waits for its answer. Clones are the same.
#[derive(Clone)]
pub struct S3 {
    way: Arc<Way>,
    folder: String,
    calls: Arc<Calls>,
    left_over: Arc<Mutex<LeftOver<ObjectPath>>>,
}

/// The thread that waits for answers: whoever calls may be a thread that must not.
struct Calls(Option<Runtime>);

impl Drop for Calls {
    fn drop(&mut self) {
        // Not waited for, for the same reason.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl S3 {
    /// With the credentials that lie in their folder now. It asks nothing yet.
    pub fn new(place: &Place) -> Result<Self, S3Error> {
        let way = Arc::new(Way::new(place)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let calls = Arc::new(Calls(Some(runtime.map_err(S3Error::System)?)));
        Ok(Self { way, folder: place.url.folder.clone(), calls, left_over: Arc::default() })
    }

    /// How many objects nobody needs, and could not be removed.
    #[must_use]
    pub fn left_over(&self) -> usize {
        left(&self.left_over).count()
    }

    /// The folder of this name in it.
    #[must_use]
    pub fn inside(&self, name: &str) -> Self {
        Self { folder: format!("{}/{name}", self.folder), ..self.clone() }
    }

    fn at(&self, path: &str) -> ObjectPath {
        ObjectPath::from(format!("{}/{path}", self.folder))
    }

    /// Waits for what the bucket answers.
    fn answer<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, BucketError>> + Send + 'static,
        (what, path): (&'static str, &str),
    ) -> Result<T, BucketError> {
        let (sender, answer) = std::sync::mpsc::sync_channel(1);
        self.spawn(async move { _ = sender.send(call.await) });
        let nobody = || BucketError::Away { what, path: path.to_owned(), why: "nobody waits".to_owned() };
        answer.recv().map_err(|_| nobody())?
    }

    fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) {
        if let Calls(Some(runtime)) = &*self.calls {
            runtime.spawn(call);
        }
    }

    /// Waits for the answers to several calls, in their order.
    fn answers<T: Send + 'static, C>(&self, calls: Vec<C>, what: &'static str) -> Vec<Result<T, BucketError>>
    where
        C: Future<Output = Result<T, BucketError>> + Send + 'static,
    {
        let count = calls.len();
        let all = async move { Ok(stream::iter(calls).buffered(AT_ONCE).collect::<Vec<_>>().await) };
        let nobody = |error: &BucketError| BucketError::Away {
            what,
            path: self.folder.clone(),
            why: error.to_string(),
        };
        self.answer(all, (what, &self.folder))
            .unwrap_or_else(|error| (0..count).map(|_| Err(nobody(&error))).collect())
    }

    fn put(
        &self,
        path: &str,
        bytes: &[u8],
        mode: PutMode,
    ) -> impl Future<Output = Result<Created, BucketError>> + Send + 'static + use<> {
        let payload = PutPayload::from(bytes.to_vec());
        let (way, at, path) = (Arc::clone(&self.way), self.at(path), path.to_owned());
        let call = move |store: AmazonS3| {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            let (payload, at, path) = (payload.clone(), at.clone(), path.clone());
            async move {
                match store.put_opts(&at, payload, options).await {
                    Ok(_) => Ok(Created::Now),
                    Err(Error::AlreadyExists { source, .. } | Error::Precondition { source, .. })
                        if !is_conflict(&source.to_string()) =>
                    {
                        Ok(Created::Before)
                    }
                    Err(error) => Err(told("put", &path, &error)),
                }
            }
        };
        async move { way.asks(call).await }
    }

    fn get(
        &self,
        path: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, BucketError>> + Send + 'static + use<> {
        let (way, at, path) = (Arc::clone(&self.way), self.at(path), path.to_owned());
        let call = move |store: AmazonS3| {
            let (at, path) = (at.clone(), path.clone());
            async move {
                match async { store.get(&at).await?.bytes().await }.await {
                    Ok(bytes) => Ok(Some(bytes.to_vec())),
                    // Of a bucket that is not there the same is said as of an object.
                    Err(Error::NotFound { source, .. })
                        if code(&source.to_string()) != Some("NoSuchBucket") =>
                    {
                        Ok(None)
                    }
                    Err(error) => Err(told("read", &path, &error)),
                }
            }
        };
        async move { way.asks(call).await }
    }
}

/// Waits no longer for an answer than others can wait.
async fn soon<T>(
    length: usize,
    (what, path): (&'static str, String),
    call: impl Future<Output = Result<T, BucketError>>,
) -> Result<T, BucketError> {
    let more = Duration::from_secs(u64::try_from(length >> 20).unwrap_or(u64::MAX));
    let limit = SOON.saturating_add(more);
    let late = |_| BucketError::Away { what, path, why: format!("no answer within {limit:?}") };
    timeout(limit, call).await.map_err(late)?
}

async fn delete(way: &Way, at: &ObjectPath, path: &str) -> Result<(), BucketError> {
    let call = |store: AmazonS3| async move {
        match store.delete(at).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(told("remove", path, &error)),
        }
    };
    way.asks(call).await
}

fn left(left_over: &Mutex<LeftOver<ObjectPath>>) -> MutexGuard<'_, LeftOver<ObjectPath>> {
    left_over.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is left over, as long as that succeeds.
async fn sweeps(way: Arc<Way>, left_over: Arc<Mutex<LeftOver<ObjectPath>>>) {
    loop {
        let next = left(&left_over).next(AT_ONCE);
        if next.is_empty() {
            return;
        }
        let remove = |at: ObjectPath| {
            let way = &way;
            async move { delete(way, &at, at.as_ref()).await.err().map(|error| (at, error)) }
        };
        let failed: Vec<_> = stream::iter(next).map(remove).buffered(AT_ONCE).collect().await;
        let (paths, errors): (Vec<_>, Vec<_>) = failed.into_iter().flatten().unzip();
        let error = errors.into_iter().next();
        let is_news = left(&left_over).are_left(paths);
        match error {
            Some(error) => {
                if is_news {
                    tracing::warn!(%error, "objects that nobody needs are not removed: they are tried again");
                }
                return;
            }
            None if is_news => tracing::info!("objects that nobody needs are removed again"),
            None => (),
        }
    }
}

impl Bucket for S3 {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError> {
        self.answer(self.put(path, bytes, PutMode::Create), ("put", path))
    }

    fn create_soon(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError> {
        let put = self.put(path, bytes, PutMode::Create);
        self.answer(soon(bytes.len(), ("put", path.to_owned()), put), ("put", path))
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), BucketError> {
        self.answer(self.put(path, bytes, PutMode::Overwrite), ("put", path)).map(|_| ())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, BucketError> {
        self.answer(self.get(path), ("read", path))
    }

    fn read_soon(&self, path: &str, length: usize) -> Result<Option<Vec<u8>>, BucketError> {
        let get = self.get(path);
        self.answer(soon(length, ("read", path.to_owned()), get), ("read", path))
    }

    fn sizes(&self, folder: &str) -> Result<Vec<(String, u64)>, BucketError> {
        let (way, at, path) = (Arc::clone(&self.way), self.at(folder), folder.to_owned());
        let call = move |store: AmazonS3| {
            let (at, path) = (at.clone(), path.clone());
            async move {
                let name = |object: ObjectMeta| {
                    let parts = object.location.prefix_match(&at)?;
                    let name = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
                    Some((name, object.size))
                };
                let listed = store.list(Some(&at)).try_filter_map(|object| async { Ok(name(object)) });
                listed.try_collect().await.map_err(|error| told("list", &path, &error))
            }
        };
        self.answer(async move { way.asks(call).await }, ("list", folder))
    }

    fn remove(&self, path: &str) -> Result<(), BucketError> {
        let (way, at, name) = (Arc::clone(&self.way), self.at(path), path.to_owned());
        self.answer(async move { delete(&way, &at, &name).await }, ("remove", path))
    }

    fn create_all(&self, objects: &[File]) -> Vec<Result<Created, BucketError>> {
        let put = |object: &File| self.put(&object.path, &object.bytes, PutMode::Create);
        self.answers(objects.iter().map(put).collect(), "put")
    }

    fn read_all(&self, paths: &[String]) -> Vec<Result<Option<Vec<u8>>, BucketError>> {
        self.answers(paths.iter().map(|path| self.get(path)).collect(), "read")
    }

    fn sweep(&self, paths: Vec<String>) {
        if left(&self.left_over).add(paths.iter().map(|path| self.at(path))) {
            self.spawn(sweeps(Arc::clone(&self.way), Arc::clone(&self.left_over)));
        }
    }

    fn rest(&self, failed: u32) {
        let mut dice = [0_u8];
        // Without it the rest is the shortest.
        rand::fill(&mut dice).ok();
        let [dice] = dice;
        thread::sleep(rest_after(failed, dice));
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A failure in our words.
fn told(what: &'static str, path: &str, error: &Error) -> BucketError {
    let (path, said) = (path.to_owned(), error.to_string());
    match code(&said) {
        Some(code) if is_no(error) => BucketError::Refused { what, path, why: code.to_owned() },
        Some(code) => BucketError::Away { what, path, why: code.to_owned() },
        None if is_no(error) => BucketError::Refused { what, path, why: "without a code".to_owned() },
        // An answer that has no code may be anybody's.
        None if said.contains('<') => {
            BucketError::Away { what, path, why: "an answer without a code".to_owned() }
        }
        None => BucketError::Away { what, path, why: deepest(error) },
    }
}

fn is_no(error: &Error) -> bool {
    matches!(
        error,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotFound { .. }
            | Error::NotSupported { .. }
    )
}

/// Whether the bucket says that it was asked for something else with the same object at this moment. Then nobody knows whether it is there.
fn is_conflict(said: &str) -> bool {
    matches!(code(said), Some("ConditionalRequestConflict" | "OperationAborted"))
}

/// The code of S3's answer: `<Code>AccessDenied</Code>`.
fn code(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_code =
        (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then_some(code)
}

/// What lies below all others: "connection refused", and the like.
fn deepest(error: &Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_its_code_is_kept_and_nothing_else() {
        let body =
            "<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId></Error>";
        let denied = Error::PermissionDenied { path: "a".into(), source: body.into() };
        assert_eq!(
            told("put", "tile/0/000", &denied).to_string(),
            "the bucket refuses to put tile/0/000: InvalidAccessKeyId"
        );
        for (source, why) in [
            ("<html>AKIDEXAMPLE</html>", "an answer without a code"),
            ("<Code>AKID EXAMPLE</Code>", "an answer without a code"),
            ("connection refused", "connection refused"),
        ] {
            let error = Error::Generic { store: "S3", source: source.into() };
            assert_eq!(
                told("read", "checkpoint", &error).to_string(),
                format!("the bucket is away: cannot read checkpoint: {why}")
            );
        }
    }
}
