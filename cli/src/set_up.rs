//! `vault-setup`: the scripts for one database, from the cluster or a file, or for the operator.

use anyhow::bail;

use crate::args::{Place, VaultSetupArgs};
use crate::cluster::{CallError, Cluster};
use crate::{authorities, databases, vault_setup};

/// The text to print.
pub async fn set_up_vault(place: &Place, args: VaultSetupArgs) -> anyhow::Result<String> {
    let purpose = args.purpose();
    if args.operator {
        return Ok(vault_setup::operator_script(&args.operator_setup(), purpose)?);
    }
    let target = match (&args.file, &args.database) {
        (Some(file), name) => databases::from_file(file, name.as_deref(), place.namespace.as_deref())?,
        (None, Some(name)) => {
            let cluster = Cluster::reach(place).await?;
            let read = cluster.api().get(name).await;
            let database = read.map_err(CallError::of(format!("read Database {name}")))?;
            let database = authorities::with_authorities(&cluster, database).await?;
            databases::target(cluster.namespace(), &database)?
        }
        (None, None) => bail!("name a Database, or a file with -f"),
    };
    let sql = args.sql;
    let setup = args.database_setup(target);
    Ok(if sql {
        vault_setup::administrator_sql(&setup)?
    } else {
        vault_setup::database_script(&setup, purpose)?
    })
}
