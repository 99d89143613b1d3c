//! The engines, a folder each, and the choice among them.

pub mod mysql;

use access::report::Report;
use access::{Engine, Grant};

use self::mysql::MySql;
use crate::args::Args;
use crate::life::{self, Exit, SetupError};

/// Lives the life of a grant with the engine that it names.
pub async fn live(args: &Args, grant: Grant) -> (Exit, Report) {
    match grant.target.engine {
        Engine::MySql | Engine::MariaDb => life::live_with::<MySql>(args, grant).await,
        engine @ Engine::PostgreSql => {
            life::stillborn(grant.identity.uid, grant.used, &SetupError::NotServed { engine })
        }
    }
}
