//! A UNIX socket that only its owner can use: in a folder of mode 0700, and every peer's user id is checked.
//!
//! Behind it the tunnel proves who we are, so whoever gets in is us. That is why there are two locks.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::forward::ProxyTls;
use super::{Forward, ForwardError};

/// The most bytes of a socket's path: the kernel keeps 108 with the zero at the end (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

/// A folder of mode 0700, deleted when it goes out of scope.
pub struct PrivateFolder {
    folder: TempDir,
    owner: u32,
}

/// No such folder or nothing in it.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFolderError {
    /// Not made.
    #[error("cannot make a private folder in {parent:?}")]
    Make {
        /// Where.
        parent: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or socket in it was not made.
    #[error("cannot make {path:?}")]
    Put {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl PrivateFolder {
    /// In `parent`, under a name that nobody can guess beforehand.
    pub fn make_in(parent: &Path) -> Result<Self, PrivateFolderError> {
        let bad = |source| PrivateFolderError::Make { parent: parent.to_owned(), source };
        let folder = tempfile::Builder::new()
            .prefix("keyhole-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(bad)?;
        let owner = folder.path().metadata().map_err(bad)?.uid();
        Ok(Self { folder, owner })
    }

    /// A new file in it, for its owner only.
    pub fn put(&self, name: &str, content: &str) -> Result<PathBuf, PrivateFolderError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.folder.path().join(name);
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(|source| PrivateFolderError::Put { path: path.clone(), source })?;
        Ok(path)
    }
}

/// The listening socket.
pub struct PrivateSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Holds the socket; its owner is the only peer that gets in.
    folder: PrivateFolder,
}

impl PrivateSocket {
    /// Listens in a new private folder in `parent`, or in `otherwise` where the path would be too long for a socket.
    pub fn listen_in(parent: &Path, otherwise: &Path) -> Result<Self, PrivateFolderError> {
        let folder = PrivateFolder::make_in(parent)?;
        if socket_path(&folder).as_os_str().len() > LONGEST_SOCKET_PATH {
            return Self::listen(PrivateFolder::make_in(otherwise)?);
        }
        Self::listen(folder)
    }

    /// Listens in this folder.
    pub fn listen(folder: PrivateFolder) -> Result<Self, PrivateFolderError> {
        let path = socket_path(&folder);
        let listener = UnixListener::bind(&path)
            .map_err(|source| PrivateFolderError::Put { path: path.clone(), source })?;
        Ok(Self { listener, path, folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Accepts connections and pipes each to the proxy, for as long as it is polled. Returns when the socket fails.
    pub async fn serve(&self, forward: Forward, tls: ProxyTls) -> std::io::Error {
        let mut connections = JoinSet::new();
        loop {
            let local = tokio::select! {
                accepted = self.accept() => match accepted {
                    Ok(Some(local)) => local,
                    Ok(None) => continue,
                    Err(error) => return error,
                },
                Some(_finished) = connections.join_next() => continue,
            };
            let (forward, tls) = (forward.clone(), tls.clone());
            connections.spawn(async move {
                if let Err(error) = pipe(local, &forward, &tls).await {
                    crate::terminal::complain(&error);
                }
            });
        }
    }

    /// The next connection of our own user. `None`: somebody else's, closed at once.
    async fn accept(&self) -> Result<Option<UnixStream>, std::io::Error> {
        let (local, _address) = self.listener.accept().await?;
        let ours = local.peer_cred().is_ok_and(|peer| peer.uid() == self.folder.owner);
        Ok(ours.then_some(local))
    }
}

fn socket_path(folder: &PrivateFolder) -> PathBuf {
    folder.folder.path().join("s")
}

async fn pipe(mut local: UnixStream, forward: &Forward, tls: &ProxyTls) -> Result<(), ForwardError> {
    let mut remote = forward.open_tls(tls).await?;
    // Either side closing, however rudely, is the end of a session and not an error.
    let _ = tokio::io::copy_bidirectional(&mut local, &mut remote).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_may_look_into_the_folder_or_its_files() {
        let parent = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::make_in(parent.path()).unwrap();
        let file = folder.put("client.cnf", "x").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(folder.folder.path()), mode(&file)), (0o700, 0o600));
        assert!(folder.put("client.cnf", "y").is_err(), "a file that is there is never taken over");
    }

    #[tokio::test]
    async fn a_peer_of_another_user_is_closed_at_once() {
        let parent = tempfile::tempdir().unwrap();
        let mut folder = PrivateFolder::make_in(parent.path()).unwrap();
        folder.owner = folder.owner.wrapping_add(1);
        let socket = PrivateSocket::listen(folder).unwrap();
        let _peer = UnixStream::connect(socket.path()).await.unwrap();
        assert!(socket.accept().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn our_own_user_gets_in_and_nothing_is_left_behind() {
        let parent = tempfile::tempdir().unwrap();
        let socket = PrivateSocket::listen(PrivateFolder::make_in(parent.path()).unwrap()).unwrap();
        let path = socket.path().to_owned();
        let _peer = UnixStream::connect(&path).await.unwrap();
        assert!(socket.accept().await.unwrap().is_some());
        drop(socket);
        assert!(!path.exists() && parent.path().read_dir().unwrap().next().is_none());
    }

    #[tokio::test]
    async fn a_folder_too_deep_for_a_socket_is_passed_over() {
        let (parent, otherwise) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // The longest path that fits, and one byte more.
        for (spare, inside) in [(0, parent.path()), (1, otherwise.path())] {
            let own = parent.path().as_os_str().len() + "/".len() + "/keyhole-123456/s".len();
            let deep = parent.path().join("d".repeat(LONGEST_SOCKET_PATH - own + spare));
            std::fs::create_dir(&deep).unwrap();
            let socket = PrivateSocket::listen_in(&deep, otherwise.path()).unwrap();
            assert!(socket.path().starts_with(inside), "{:?}", socket.path());
            let _peer = UnixStream::connect(socket.path()).await.unwrap();
            assert!(socket.accept().await.unwrap().is_some());
            drop(socket);
            assert!(deep.read_dir().unwrap().next().is_none(), "nothing is left in the deep folder");
        }
        assert!(otherwise.path().read_dir().unwrap().next().is_none());
    }
}
