//! OpenBao with TLS, unsealed: one, its storage in memory, or three of which two stand by.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::keeper::Keeper;
use crate::{Authority, Failed, STARTING, free_port, program_path, said, until};

/// A running Vault.
pub struct Vault {
    /// `https://127.0.0.1:PORT`.
    pub address: String,
    /// The authority of its certificate.
    pub ca_pem: String,
    /// Where that is written.
    pub ca_path: PathBuf,
    /// The token of its administrator.
    pub root_token: String,
    unseal_key: String,
    _keeper: Keeper,
}

impl Vault {
    /// Starts one, initialises and unseals it.
    pub fn start() -> Self {
        let mut vault = Self::serves(|_| "storage \"inmem\" {}".to_owned());
        vault.initialise();
        vault
    }

    /// Starts three of one cluster, with OpenBao's own storage. The first is active; the others answer what only reads by themselves.
    pub fn cluster() -> [Self; 3] {
        let [mut first, mut second, mut third] = ["1", "2", "3"].map(|id| {
            Self::serves(|folder| {
                format!("storage \"raft\" {{\n path = {folder:?}\n node_id = {id:?}\n performance_multiplier = 1\n}}")
            })
        });
        first.initialise();
        for follower in [&mut second, &mut third] {
            follower.root_token.clone_from(&first.root_token);
            follower.unseal_key.clone_from(&first.unseal_key);
            let authority = format!("-leader-ca-cert={}", first.ca_pem);
            let join = ["operator", "raft", "join", &authority, &first.address];
            until("a follower joins", STARTING, || follower.administrator(&join).is_ok()).unwrap();
            until("it is unsealed", STARTING, || {
                follower.administrator(&["operator", "unseal", &follower.unseal_key]).is_ok()
            })
            .unwrap();
            until("it answers", STARTING, || follower.administrator(&["secrets", "list"]).is_ok()).unwrap();
        }
        [first, second, third]
    }

    /// One that is sealed and knows nothing. `storage`: what its configuration says of its storage, in this folder.
    fn serves(storage: impl Fn(&Path) -> String) -> Self {
        let folder = tempfile::Builder::new().prefix("keyhole-vault-").tempdir().unwrap().keep();
        let authority = Authority::new("test vault");
        let (certificate, key) = authority.server("vault.example.com");
        let ca_path = folder.join("ca.pem");
        for (name, pem) in [("ca.pem", &authority.pem), ("crt.pem", &certificate), ("key.pem", &key)] {
            std::fs::write(folder.join(name), pem).unwrap();
        }
        let port = free_port();
        let [address, cluster] = [port, port + 1].map(|port| format!("https://127.0.0.1:{port}"));
        let config = format!(
            "{}\napi_addr = {address:?}\ncluster_addr = {cluster:?}\ndisable_mlock = true\nlistener \"tcp\" {{\n \
             address = {:?}\n tls_cert_file = {:?}\n tls_key_file = {:?}\n}}\n",
            storage(&folder),
            address.trim_start_matches("https://"),
            folder.join("crt.pem"),
            folder.join("key.pem")
        );
        std::fs::write(folder.join("bao.hcl"), config).unwrap();
        let program = [bao_path().display().to_string(), "server".into(), "-config=bao.hcl".into()];
        let keeper = Keeper::start(&folder, &program);
        let (root_token, unseal_key) = (String::new(), String::new());
        Self { address, ca_pem: authority.pem, ca_path, root_token, unseal_key, _keeper: keeper }
    }

    fn initialise(&mut self) {
        let mut keys = None;
        let init = ["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"];
        let answers = || {
            keys = self.administrator(&init).ok();
            keys.is_some()
        };
        until("Vault answers", STARTING, answers).unwrap();
        let keys: serde_json::Value = serde_json::from_str(&keys.unwrap()).unwrap();
        let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        self.unseal_key = word(&keys["unseal_keys_b64"][0]);
        self.root_token = word(&keys["root_token"]);
        self.unseal();
        until("Vault is active", STARTING, || self.administrator(&["secrets", "list"]).is_ok()).unwrap();
    }

    /// Runs `bao` as its administrator; its standard output.
    ///
    /// # Errors
    /// What it said.
    pub fn administrator(&self, args: &[&str]) -> Result<String, Failed> {
        self.bao(&self.root_token, args, "")
    }

    /// Runs `bao` with this token and this standard input.
    ///
    /// # Errors
    /// What it said.
    pub fn bao(&self, token: &str, args: &[&str], input: &str) -> Result<String, Failed> {
        said(self.known_to(Command::new(bao_path()).args(args), token), input)
    }

    /// Tells a command how to reach this Vault, and with which token.
    pub fn known_to<'a>(&self, command: &'a mut Command, token: &str) -> &'a mut Command {
        command.env("BAO_ADDR", &self.address).env("BAO_CACERT", &self.ca_path).env("BAO_TOKEN", token)
    }

    /// Seals it.
    pub fn seal(&self) {
        self.administrator(&["operator", "seal"]).unwrap();
    }

    /// Unseals it; it may take a moment until it is active.
    pub fn unseal(&self) {
        self.administrator(&["operator", "unseal", &self.unseal_key]).unwrap();
    }
}

/// `bao`, a program of the test bed.
pub fn bao_path() -> PathBuf {
    program_path("bao")
}
