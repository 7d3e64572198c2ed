//! Making projects.

use super::Engine;
use crate::domain::error::Result;
use crate::domain::program::Preset;
use crate::store::{NewProject, Project};

impl Engine {
    /// A project that starts with a preset's program; its team is made when there is none of that slug. `Conflict` for
    /// a slug that is taken.
    pub fn create_project(
        &self,
        team: &str,
        slug: &str,
        name: &str,
        preset: Preset,
        mode: &'static str,
    ) -> Result<Project> {
        let (team, slug, name) = (team.to_owned(), slug.to_owned(), name.to_owned());
        self.store.write_blocking(move |tx| {
            tx.add_project(&NewProject {
                team: tx.team_named(&team)?,
                slug,
                name,
                mode,
                key_prefix: "bw".into(),
                program: preset.program(),
                author: "command line".into(),
            })
        })
    }
}
