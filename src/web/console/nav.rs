//! Where one can go in the console.

use crate::engine::Project;

/// The pages of the console, as the navigation has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Overview,
    Review,
    Developers,
    Program,
    Payouts,
    Deliveries,
    Keys,
    Exports,
    Audit,
    Settings,
    /// Of the team from here on.
    Projects,
    Operators,
    Limits,
    Account,
}

/// Which projects cannot be named by their slug in an address, as a page has that name.
const TEAM_PAGES: [&str; 8] = ["login", "logout", "setup", "join", "projects", "operators", "limits", "account"];

impl Section {
    const DAILY: [Self; 5] = [Self::Overview, Self::Review, Self::Developers, Self::Payouts, Self::Deliveries];
    const PROJECT: [Self; 5] = [Self::Program, Self::Keys, Self::Exports, Self::Audit, Self::Settings];
    const TEAM: [Self; 3] = [Self::Projects, Self::Operators, Self::Limits];

    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Review => "Review",
            Self::Developers => "Developers",
            Self::Program => "Program",
            Self::Payouts => "Payouts",
            Self::Deliveries => "Deliveries",
            Self::Keys => "API keys",
            Self::Exports => "Exports",
            Self::Audit => "Audit log",
            Self::Settings => "Settings",
            Self::Projects => "Projects",
            Self::Operators => "Operators",
            Self::Limits => "Rate limits",
            Self::Account => "Your account",
        }
    }

    /// The last part of its address.
    fn name(self) -> &'static str {
        match self {
            Self::Overview | Self::Projects => "",
            Self::Review => "review",
            Self::Developers => "developers",
            Self::Program => "program",
            Self::Payouts => "payouts",
            Self::Deliveries => "deliveries",
            Self::Keys => "keys",
            Self::Exports => "exports",
            Self::Audit => "audit",
            Self::Settings => "settings",
            Self::Operators => "operators",
            Self::Limits => "limits",
            Self::Account => "account",
        }
    }

    /// Of a project's page, or without one of the team's.
    pub fn url(self, project: Option<&Project>) -> String {
        let place = project.map_or_else(|| "/admin".to_owned(), project_url);
        match self.name() {
            "" => place,
            name => format!("{place}/{name}"),
        }
    }
}

/// Where a project's pages begin.
pub fn project_url(project: &Project) -> String {
    if TEAM_PAGES.contains(&project.slug.as_str()) {
        format!("/admin/{}", project.id)
    } else {
        format!("/admin/{}", project.slug)
    }
}

/// Links of one kind.
pub struct Group {
    pub title: &'static str,
    pub links: Vec<Link>,
}

pub struct Link {
    pub title: &'static str,
    pub url: String,
    pub here: bool,
}

/// All that can be gone to from a page.
pub fn groups(project: Option<&Project>, here: Section, sees_limits: bool) -> Vec<Group> {
    let group = |title, sections: &[Section], project: Option<&Project>| Group {
        title,
        links: sections
            .iter()
            .filter(|section| sees_limits || **section != Section::Limits)
            .map(|section| Link { title: section.title(), url: section.url(project), here: *section == here })
            .collect(),
    };
    let mut groups = Vec::new();
    if project.is_some() {
        groups.push(group("Programme", &Section::DAILY, project));
        groups.push(group("Project", &Section::PROJECT, project));
    }
    groups.push(group("Team", &Section::TEAM, None));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{ProjectId, TeamId};

    fn project(slug: &str) -> Project {
        Project {
            id: ProjectId(1),
            team: TeamId(1),
            slug: slug.into(),
            name: "Acme".into(),
            mode: "live".into(),
            host: None,
            landing_url: None,
            key_prefix: "bw".into(),
            created_at_ms: 0,
        }
    }

    #[test]
    fn a_project_that_is_called_like_a_page_goes_by_its_id() {
        assert_eq!(Section::Audit.url(Some(&project("acme"))), "/admin/acme/audit");
        assert_eq!(Section::Overview.url(Some(&project("login"))), "/admin/proj_0000000000001");
        assert_eq!((Section::Projects.url(None), Section::Limits.url(None)), ("/admin".into(), "/admin/limits".into()));
        for section in Section::TEAM.into_iter().chain([Section::Account]) {
            assert!(section == Section::Projects || TEAM_PAGES.contains(&section.name()));
        }
    }

    #[test]
    fn one_link_is_here() {
        let acme = project("acme");
        for section in Section::DAILY.into_iter().chain(Section::PROJECT) {
            let here: Vec<_> = groups(Some(&acme), section, true).into_iter().flat_map(|group| group.links).collect();
            assert_eq!(here.iter().filter(|link| link.here).count(), 1);
        }
        assert!(groups(None, Section::Projects, false).iter().all(|group| group.links.len() == 2));
    }
}
