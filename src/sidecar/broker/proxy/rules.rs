//! What the flags, and so the policy, let an agent call.

use super::refusal::{Reason, Refusal};
use super::target::{Target, is_model};
use std::fmt::{self, Display};
use vertex_injector_core::api::{Feature, Publisher};
use vertex_injector_core::glob::Glob;

/// What may be called. All of it comes from the flags, nothing from a request.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The one project.
    pub project: String,
    /// Whose models.
    pub publishers: Vec<Publisher>,
    /// Where.
    pub regions: Vec<String>,
    /// Which models.
    pub models: Vec<Glob>,
    /// What calls may make the provider do.
    pub allow: Vec<Feature>,
}

impl Rules {
    /// Checks a call's target: the pattern that its model matches, or `None` when the model is named in the body.
    ///
    /// # Errors
    /// Says what is allowed, and which field of the policy says so.
    pub fn check(&self, target: &Target<'_>) -> Result<Option<&Glob>, Refusal> {
        self.check_publisher(target.publisher)?;
        self.check_project(target.project)?;
        self.check_region(target.region)?;
        if target.counts_tokens_of_another() {
            return Ok(None);
        }
        self.check_model(&target.model).map(Some)
    }

    /// Checks what a body calls a model: its ID, or a resource name that ends in it.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_named(&self, name: &str, publisher: Publisher) -> Result<&Glob, Refusal> {
        let parts: Vec<&str> = name.splitn(9, '/').collect();
        let (publisher_name, model) = match *parts.as_slice() {
            [model] | ["models", model] => (publisher.name(), model),
            [of, model] | ["publishers", of, "models", model] => (of, model),
            [
                "projects",
                project,
                "locations",
                region,
                "publishers",
                of,
                "models",
                model,
            ] => {
                self.check_project(project)?;
                self.check_region(region)?;
                (of, model)
            }
            _ => return Err(self.no_model()),
        };
        if publisher_name != publisher.name() || !is_model(model) {
            return Err(self.no_model());
        }
        self.check_model(model)
    }

    /// Checks that every model may be called, because the body leaves the choice to Google.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_any_model(&self) -> Result<(), Refusal> {
        if self.models.iter().any(Glob::is_any) {
            return Ok(());
        }
        let models = list(&self.models);
        Err(Refusal::denied(
            Reason::Model,
            format!("the body lets Google choose the model, but the policy's proxy.models allows only {models}"),
        ))
    }

    /// Checks that the provider may be made to do this. `place` is where the body asks for it.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_feature(&self, feature: Feature, place: impl FnOnce() -> String) -> Result<(), Refusal> {
        if self.allow.contains(&feature) {
            return Ok(());
        }
        let allowed = if self.allow.is_empty() {
            "allows nothing of the kind".to_owned()
        } else {
            let names: Vec<String> = self.allow.iter().map(|feature| format!("{feature:?}")).collect();
            format!("allows {}", list(&names))
        };
        let mut refusal = Refusal::denied(
            Reason::Feature,
            format!(
                "the body asks for {feature:?} at {}: the policy's proxy.allow {allowed}; {feature:?} can be added there",
                place()
            ),
        );
        refusal.feature = Some(feature);
        Err(refusal)
    }

    fn check_publisher(&self, publisher: Publisher) -> Result<(), Refusal> {
        if self.publishers.contains(&publisher) {
            return Ok(());
        }
        let names: Vec<&str> = self.publishers.iter().map(|publisher| publisher.name()).collect();
        Err(Refusal::denied(
            Reason::Publisher,
            format!(
                "publisher {} is not allowed: the policy's proxy.publishers allows {}",
                publisher.name(),
                list(&names)
            ),
        ))
    }

    fn check_project(&self, project: &str) -> Result<(), Refusal> {
        if project == self.project {
            return Ok(());
        }
        Err(Refusal::denied(
            Reason::Project,
            format!(
                "another project is not allowed: the policy's vertex.project is {}",
                self.project
            ),
        ))
    }

    fn check_region(&self, region: &str) -> Result<(), Refusal> {
        if self.regions.iter().any(|allowed| allowed == region) {
            return Ok(());
        }
        Err(Refusal::denied(
            Reason::Region,
            format!(
                "this region is not allowed: the policy's proxy.regions allows {}",
                list(&self.regions)
            ),
        ))
    }

    fn check_model(&self, model: &str) -> Result<&Glob, Refusal> {
        let matching = self.models.iter().find(|glob| glob.matches(model));
        matching.ok_or_else(|| {
            Refusal::denied(
                Reason::Model,
                format!(
                    "model {model} is not allowed: the policy's proxy.models allows {}",
                    list(&self.models)
                ),
            )
        })
    }

    fn no_model(&self) -> Refusal {
        Refusal::denied(
            Reason::Model,
            format!(
                "the body names a model in a way that is not allowed: the policy's proxy.models allows {}, of {}",
                list(&self.models),
                self.project
            ),
        )
    }
}

impl Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let publishers: Vec<&str> = self.publishers.iter().map(|publisher| publisher.name()).collect();
        let allow: Vec<String> = self.allow.iter().map(|feature| format!("{feature:?}")).collect();
        write!(
            f,
            "publishers {}; models {}; regions {}; allow {}",
            list(&publishers),
            list(&self.models),
            list(&self.regions),
            if allow.is_empty() {
                "nothing".to_owned()
            } else {
                list(&allow)
            }
        )
    }
}

/// Most names in a message.
const SHOWN: usize = 32;

fn list(names: &[impl Display]) -> String {
    let mut text = String::new();
    for (i, name) in names.iter().take(SHOWN).enumerate() {
        text += if i == 0 { "" } else { ", " };
        text += &name.to_string();
    }
    if names.len() > SHOWN {
        text += ", …";
    }
    text
}
