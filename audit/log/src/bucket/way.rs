//! The way to a bucket of S3: a client with the credentials that lie in files, made anew when a call fails and the files are others by then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::{Certificate, ClientOptions, RetryConfig};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{BucketError, BucketUrl};

/// How long the bucket may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// How long it may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(5);

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
    /// The folder with `access-key-id` and `secret-access-key`, and perhaps `session-token` and `ca.crt`.
    pub credentials: PathBuf,
}

/// The way to a bucket.
pub(super) struct Way {
    place: Place,
    client: RwLock<Client>,
}

/// What calls are made with.
#[derive(Clone)]
struct Client {
    store: AmazonS3,
    /// Of which credentials it was made: their hash.
    of: [u8; 32],
}

impl Way {
    /// With the credentials that lie in their folder now. It asks nothing yet.
    pub fn new(place: &Place) -> Result<Self, S3Error> {
        let client = Credentials::read(&place.credentials)?.client(place)?;
        Ok(Self { place: place.clone(), client: RwLock::new(client) })
    }

    /// Makes a call. One that the bucket refuses is made once more, where the credentials are others by then: it had no effect. One that
    /// nobody answered may have had one, and is left to whoever asks.
    pub async fn asks<T, C>(&self, call: impl Fn(AmazonS3) -> C) -> Result<T, BucketError>
    where
        C: Future<Output = Result<T, BucketError>>,
    {
        let client = self.client();
        let error = match call(client.store.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if self.is_renewed(&client) && matches!(error, BucketError::Refused { .. }) {
            return call(self.client().store).await;
        }
        Err(error)
    }

    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is another client than the one that failed.
    fn is_renewed(&self, failed: &Client) -> bool {
        let mut client = self.client.write().unwrap_or_else(PoisonError::into_inner);
        if client.of != failed.of {
            return true;
        }
        // Files that are just being replaced are read with the next failure.
        let Ok(credentials) = Credentials::read(&self.place.credentials) else { return false };
        if credentials.hash() == client.of {
            return false;
        }
        let Ok(new) = credentials.client(&self.place) else { return false };
        *client = new;
        tracing::info!("the credentials of the bucket have changed, and are used from now on");
        true
    }
}

/// What the files say.
struct Credentials {
    id: Zeroizing<String>,
    secret: Zeroizing<String>,
    token: Option<Zeroizing<String>>,
    authorities: Option<Vec<u8>>,
    folder: PathBuf,
}

impl Credentials {
    fn read(folder: &Path) -> Result<Self, S3Error> {
        let needed = |name: &str| {
            let missing =
                || S3Error::Read { path: folder.join(name), source: io::ErrorKind::NotFound.into() };
            word(folder, name)?.ok_or_else(missing)
        };
        Ok(Self {
            id: needed("access-key-id")?,
            secret: needed("secret-access-key")?,
            token: word(folder, "session-token")?,
            authorities: bytes(&folder.join("ca.crt"))?.map(|bytes| bytes.to_vec()),
            folder: folder.to_owned(),
        })
    }

    fn hash(&self) -> [u8; 32] {
        let Self { id, secret, token, authorities, folder: _ } = self;
        let token = token.as_ref().map(|token| token.as_bytes());
        let mut all = Sha256::new();
        for part in [Some(id.as_bytes()), Some(secret.as_bytes()), token, authorities.as_deref()] {
            // Each with its length, so that no two of these are one text.
            all.update(
                part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(u64::MAX)).to_be_bytes(),
            );
            all.update(part.unwrap_or_default());
        }
        all.finalize().into()
    }

    fn client(&self, place: &Place) -> Result<Client, S3Error> {
        let Place { url, endpoint, region, credentials: _ } = place;
        let is_http = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let mut client = ClientOptions::new()
            .with_allow_http(is_http)
            .with_timeout(ANSWER)
            .with_connect_timeout(CONNECT)
            .with_http1_only();
        let authorities = self.certificates()?;
        client = client.with_no_system_certificates(is_http || !authorities.is_empty());
        for authority in authorities {
            client = client.with_root_certificate(authority);
        }
        let mut builder = AmazonS3Builder::new()
            .with_client_options(client)
            .with_bucket_name(&url.bucket)
            .with_region(region)
            .with_access_key_id(self.id.as_str())
            .with_secret_access_key(self.secret.as_str())
            // Object Lock asks for it.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            // Of a removal among several that is refused, the answer has no status.
            .with_disable_bulk_delete(true)
            // Who asks knows how urgent it is.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        if let Some(token) = &self.token {
            builder = builder.with_token(token.as_str());
        }
        if let Some(endpoint) = endpoint {
            // The form that every server knows: the bucket in the path, not in the name of the host.
            builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
        }
        // What the library says may name what it was given.
        let store = builder.build().map_err(|_| S3Error::Client)?;
        Ok(Client { store, of: self.hash() })
    }

    /// Those of `ca.crt`; none, where there is no such file.
    fn certificates(&self) -> Result<Vec<Certificate>, S3Error> {
        let Some(pem) = &self.authorities else { return Ok(Vec::new()) };
        match Certificate::from_pem_bundle(pem) {
            Ok(authorities) if !authorities.is_empty() => Ok(authorities),
            _ => Err(S3Error::Authorities(self.folder.join("ca.crt"))),
        }
    }
}

/// One word of a file, without the line's end that editors put there; `None`, where there is no such file.
fn word(folder: &Path, name: &str) -> Result<Option<Zeroizing<String>>, S3Error> {
    let path = folder.join(name);
    let Some(bytes) = bytes(&path)? else { return Ok(None) };
    let no_text = |error| S3Error::Read { path, source: io::Error::new(io::ErrorKind::InvalidData, error) };
    let text = std::str::from_utf8(&bytes).map_err(no_text)?;
    Ok(Some(Zeroizing::new(text.trim().to_owned())))
}

fn bytes(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, S3Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(S3Error::Read { path: path.to_owned(), source }),
    }
}
