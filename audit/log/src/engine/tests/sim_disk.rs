//! The calls of that disk, each as it may fail.

#![allow(clippy::arithmetic_side_effects)]

use std::io;
use std::path::{Path, PathBuf};

use super::sim::{Fault, Inode, Left, Node, SimDisk, apply, folder_of};
use crate::engine::disk::Disk;

impl Disk for SimDisk {
    type File = usize;

    fn open(&self, path: &Path) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        let failing = state.call(true)?;
        if let Some(Node::File(inode)) = state.cached.get(path).copied() {
            return failing.map_or(Ok(inode), |(_, error)| Err(error));
        }
        if !matches!(failing, Some((Left::Nothing | Left::Some, _))) {
            state.inodes.push(Inode::default());
            let node = Node::File(state.inodes.len() - 1);
            state.change(folder_of(path), vec![(path.to_owned(), Some(node))]);
        }
        failing.map_or(Ok(state.inodes.len() - 1), |(_, error)| Err(error))
    }

    fn write_at(&self, file: &usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let failing = state.call(true)?;
        let part = match failing {
            Some((Left::Nothing, _)) => 0,
            Some((Left::Some, _)) => {
                let most = u64::try_from(bytes.len()).unwrap();
                usize::try_from(state.dice.below(most + 1)).unwrap()
            }
            Some((Left::All, _)) | None => bytes.len(),
        };
        state.inodes[*file].write(usize::try_from(offset).unwrap(), &bytes[..part]);
        failing.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let failing = state.call(false)?;
        match failing {
            None | Some((Left::All, _)) => state.inodes[*file].sync(),
            Some((Left::Some, _)) if state.dead == Some(Fault::Eio) => {
                // Some of it is written, nothing is dirty any more, and nobody will be told again.
                let dirty = std::mem::take(&mut state.inodes[*file].dirty);
                state.inodes[*file].lost = true;
                for sector in dirty {
                    if state.dice.coin() {
                        state.inodes[*file].persist(sector);
                    }
                }
            }
            Some(_) => (),
        }
        failing.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.0.borrow_mut();
        if let Some((_, error)) = state.call(false)? {
            return Err(error);
        }
        match state.cached.get(path).copied() {
            Some(Node::File(inode)) => Ok(Some(state.inodes[inode].cached.clone())),
            _ => Ok(None),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let failing = state.call(true)?;
        let Some(node) = state.cached.get(from).copied() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if !matches!(failing, Some((Left::Nothing | Left::Some, _))) {
            let (old, new) = ((from.to_owned(), None), (to.to_owned(), Some(node)));
            if folder_of(from) == folder_of(to) {
                state.change(folder_of(to), vec![old, new]);
            } else {
                state.change(folder_of(to), vec![new]);
                state.change(folder_of(from), vec![old]);
            }
        }
        failing.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let failing = state.call(false)?;
        if !matches!(state.cached.get(path), Some(Node::File(_))) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !matches!(failing, Some((Left::Nothing | Left::Some, _))) {
            state.change(folder_of(path), vec![(path.to_owned(), None)]);
        }
        failing.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let failing = state.call(false)?;
        if state.cached.get(path) != Some(&Node::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.cached.keys().any(|other| other != path && other.starts_with(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if !matches!(failing, Some((Left::Nothing | Left::Some, _))) {
            state.change(folder_of(path), vec![(path.to_owned(), None)]);
        }
        failing.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let failing = state.call(true)?;
        if !state.cached.contains_key(path) && !matches!(failing, Some((Left::Nothing | Left::Some, _))) {
            state.change(folder_of(path), vec![(path.to_owned(), Some(Node::Folder))]);
        }
        failing.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut state = self.0.borrow_mut();
        if let Some((_, error)) = state.call(false)? {
            return Err(error);
        }
        let inside = state.cached.keys().filter(|name| folder_of(name) == path);
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        Ok(inside.map(name).collect())
    }

    fn is_at(&self, file: &usize, path: &Path) -> io::Result<bool> {
        Ok(self.0.borrow().cached.get(path) == Some(&Node::File(*file)))
    }

    fn free(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let failing = state.call(false)?;
        if !matches!(failing, Some((Left::Nothing | Left::Some, _))) {
            let (synced, others): (Vec<_>, Vec<_>) =
                std::mem::take(&mut state.changes).into_iter().partition(|change| change.folder == path);
            state.changes = others;
            for change in synced {
                apply(&mut state.durable, &change.steps);
            }
        }
        failing.map_or(Ok(()), |(_, error)| Err(error))
    }
}
