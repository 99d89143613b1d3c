//! A bucket behind the interface of S3, by the library `object_store`: one attempt for each call, and a checksum with each object.
//!
//! What the library says of a failure is taken apart here: of an answer only its code is kept, and nothing of what was sent.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::path::Path as ObjectPath;
use object_store::{
    Certificate, ClientOptions, Error, ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutMode,
    PutOptions, PutPayload, RetryConfig,
};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::{Bucket, BucketError, BucketUrl, Created};
use crate::engine::volume::File;

/// How long the bucket may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// How many calls are under way at once, where several are made.
const AT_ONCE: usize = 16;

/// How long it may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest code of an answer that is believed to be one.
const LONGEST_CODE: usize = 64;

/// Why there is no way to the bucket.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// A file of the credentials.
    #[error("cannot read {path:?}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The authorities.
    #[error("{0:?} holds no certificates in PEM")]
    Authorities(PathBuf),
    /// The library does not take the configuration, or finds no authorities on the system.
    #[error(
        "no client for the bucket can be made: is the endpoint a URL, and are the authorities of its certificate in ca.crt?"
    )]
    Client,
    /// The system gives no threads or files.
    #[error("the system gives nothing to wait with")]
    System(#[source] io::Error),
}

/// A bucket, and how it is reached.
#[derive(Clone, Debug)]
pub struct Place {
    /// The bucket and the folder in it.
    pub url: BucketUrl,
    /// The address of the store; `None`: Amazon's.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// The folder with `access-key-id` and `secret-access-key`, and perhaps `ca.crt`.
    pub credentials: PathBuf,
}

/// A bucket of S3. Each call waits for its answer. Clones are the same.
#[derive(Clone)]
pub struct S3 {
    store: AmazonS3,
    folder: String,
    calls: Arc<Calls>,
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
        let Place { url, endpoint, region, credentials } = place;
        let is_http = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let mut client = ClientOptions::new()
            .with_allow_http(is_http)
            .with_timeout(ANSWER)
            .with_connect_timeout(CONNECT)
            .with_http1_only();
        let authorities = authorities(credentials)?;
        client = client.with_no_system_certificates(is_http || !authorities.is_empty());
        for authority in authorities {
            client = client.with_root_certificate(authority);
        }
        let mut builder = AmazonS3Builder::new()
            .with_client_options(client)
            .with_bucket_name(&url.bucket)
            .with_region(region)
            .with_access_key_id(word(credentials, "access-key-id")?.as_str())
            .with_secret_access_key(word(credentials, "secret-access-key")?.as_str())
            // Object Lock asks for it.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            // Who asks knows how urgent it is.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        if let Some(endpoint) = endpoint {
            // The form that every server knows: the bucket in the path, not in the name of the host.
            builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
        }
        // What the library says may name what it was given.
        let store = builder.build().map_err(|_| S3Error::Client)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let calls = Arc::new(Calls(Some(runtime.map_err(S3Error::System)?)));
        Ok(Self { store, folder: url.folder.clone(), calls })
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
        let options = PutOptions { mode, ..PutOptions::default() };
        let payload = PutPayload::from(bytes.to_vec());
        let (store, at, path) = (self.store.clone(), self.at(path), path.to_owned());
        async move {
            match store.put_opts(&at, payload, options).await {
                Ok(_) => Ok(Created::Now),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Created::Before),
                Err(error) => Err(told("put", &path, &error)),
            }
        }
    }

    fn get(
        &self,
        path: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, BucketError>> + Send + 'static + use<> {
        let (store, at, path) = (self.store.clone(), self.at(path), path.to_owned());
        async move {
            match async { store.get(&at).await?.bytes().await }.await {
                Ok(bytes) => Ok(Some(bytes.to_vec())),
                // Of a bucket that is not there the same is said as of an object.
                Err(Error::NotFound { source, .. }) if code(&source.to_string()) != Some("NoSuchBucket") => {
                    Ok(None)
                }
                Err(error) => Err(told("read", &path, &error)),
            }
        }
    }

    fn delete(&self, path: &str) -> impl Future<Output = Result<(), BucketError>> + Send + 'static + use<> {
        let (store, at, path) = (self.store.clone(), self.at(path), path.to_owned());
        async move {
            match store.delete(&at).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(told("remove", &path, &error)),
            }
        }
    }
}

impl Bucket for S3 {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError> {
        self.answer(self.put(path, bytes, PutMode::Create), ("put", path))
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), BucketError> {
        self.answer(self.put(path, bytes, PutMode::Overwrite), ("put", path)).map(|_| ())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, BucketError> {
        self.answer(self.get(path), ("read", path))
    }

    fn sizes(&self, folder: &str) -> Result<Vec<(String, u64)>, BucketError> {
        let (store, at, path) = (self.store.clone(), self.at(folder), folder.to_owned());
        let listed = async move {
            let name = |object: ObjectMeta| {
                let parts = object.location.prefix_match(&at)?;
                let name = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
                Some((name, object.size))
            };
            let listed = store.list(Some(&at)).try_filter_map(|object| async { Ok(name(object)) });
            listed.try_collect().await.map_err(|error| told("list", &path, &error))
        };
        self.answer(listed, ("list", folder))
    }

    fn remove(&self, path: &str) -> Result<(), BucketError> {
        self.answer(self.delete(path), ("remove", path))
    }

    fn create_all(&self, objects: &[File]) -> Vec<Result<Created, BucketError>> {
        let put = |object: &File| self.put(&object.path, &object.bytes, PutMode::Create);
        self.answers(objects.iter().map(put).collect(), "put")
    }

    fn read_all(&self, paths: &[String]) -> Vec<Result<Option<Vec<u8>>, BucketError>> {
        self.answers(paths.iter().map(|path| self.get(path)).collect(), "read")
    }

    fn sweep(&self, paths: Vec<String>) {
        let calls: Vec<_> = paths.iter().map(|path| self.delete(path)).collect();
        self.spawn(stream::iter(calls).buffered(AT_ONCE).for_each(|_| std::future::ready(())));
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// One word of a file, without the line's end that editors put there.
fn word(folder: &Path, name: &str) -> Result<Zeroizing<String>, S3Error> {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).map(Zeroizing::new);
    let text = text.map_err(|source| S3Error::Read { path, source })?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Those of `ca.crt`; none, where there is no such file.
fn authorities(folder: &Path) -> Result<Vec<Certificate>, S3Error> {
    let path = folder.join("ca.crt");
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(S3Error::Read { path, source }),
    };
    match Certificate::from_pem_bundle(&pem) {
        Ok(authorities) if !authorities.is_empty() => Ok(authorities),
        _ => Err(S3Error::Authorities(path)),
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
