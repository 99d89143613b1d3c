//! The same promises in front of a MySQL, the newest that Debian has. What depends on the server is tried here again:
//! logging in, privileges, settings, errors, and the shape of answers. What does not is tried in front of MariaDB only.

mod closing;
mod functions;
mod login;
mod privileges;
mod reading;
mod vaults_role;

use access::Limits;

use crate::support::databases::mysql;
use crate::support::proxy::{Proxy, grant_on, wide};

fn grant() -> access::Grant {
    grant_on(mysql(), wide())
}

async fn proxy() -> Proxy {
    with_limits(wide()).await
}

async fn with_limits(limits: Limits) -> Proxy {
    Proxy::of(grant_on(mysql(), limits)).await
}

/// Makes a user with the password `pw`; `{}` in the statements is the account.
fn user(name: &str, statements: &[&str]) -> keyhole_proxy::credential::Credential {
    let account = format!("'{name}'@'%'");
    mysql().admin(&format!("CREATE USER {account} IDENTIFIED BY 'pw'"));
    for statement in statements {
        mysql().admin(&statement.replace("{}", &account));
    }
    crate::support::proxy::credential_of(name, "pw")
}
