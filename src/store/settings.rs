//! What a team has set for a project, secrets included: never part of [`super::Project`], which goes everywhere.

use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::ProjectId;
use crate::domain::partner::DEFAULT_AGREEMENT;
use crate::domain::setting::ProjectSettings;
use rusqlite::{OptionalExtension, params};

impl Snapshot<'_> {
    pub fn project_settings(&self, project: ProjectId) -> Result<ProjectSettings> {
        let sql = "SELECT name, host, landing_url, key_prefix, jwt_algorithm, jwt_key, stripe_webhook_secrets,
                          stripe_api_key FROM project WHERE id = $1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0], |row| {
            let webhook_secrets: Option<String> = row.get(6)?;
            Ok(ProjectSettings {
                name: row.get(0)?,
                host: row.get(1)?,
                landing_url: row.get(2)?,
                key_prefix: row.get(3)?,
                jwt_algorithm: row.get(4)?,
                jwt_key: row.get(5)?,
                stripe_webhook_secrets: webhook_secrets
                    .iter()
                    .flat_map(|text| text.lines())
                    .map(str::to_owned)
                    .collect(),
                stripe_api_key: row.get(7)?,
                partner_agreement: None,
            })
        });
        let settings = found.optional()?.ok_or_else(|| Error::not_found("No such project."))?;
        let agreement = Some(self.agreement(project)?.text).filter(|text| text != DEFAULT_AGREEMENT);
        Ok(ProjectSettings { partner_agreement: agreement, ..settings })
    }

    /// The slug of another project that has this host.
    pub fn host_taken_by(&self, project: ProjectId, host: &str) -> Result<Option<String>> {
        let sql = "SELECT slug FROM project WHERE id <> $1 AND host = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, host], |row| row.get(0)).optional()?)
    }
}

impl Tx<'_> {
    /// Sets all of them. The host is another's only if [`Snapshot::host_taken_by`] was not asked.
    pub fn set_project_settings(&self, project: ProjectId, settings: &ProjectSettings) -> Result<()> {
        let sql = "UPDATE project SET name = $1, host = $2, landing_url = $3, key_prefix = $4, jwt_algorithm = $5,
                                      jwt_key = $6, stripe_webhook_secrets = $7, stripe_api_key = $8
                   WHERE id = $9";
        let secrets = &settings.stripe_webhook_secrets;
        self.connection.prepare_cached(sql)?.execute(params![
            settings.name,
            settings.host,
            settings.landing_url,
            settings.key_prefix,
            settings.jwt_algorithm,
            settings.jwt_key,
            (!secrets.is_empty()).then(|| secrets.join("\n")),
            settings.stripe_api_key,
            project.0
        ])?;
        self.set_agreement(project, settings.partner_agreement.as_deref().unwrap_or(DEFAULT_AGREEMENT))
    }
}
