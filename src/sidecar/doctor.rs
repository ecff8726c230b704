//! The way from a pod to a model, gone hop by hop with the pod's own identity: what works, which hop is the first that does not,
//! what Google says of it, and what mends it.
//!
//! Tokens are exchanged by the broker's own code ([`crate::broker::token`]), over connections made as the broker's are. [`hop`] is
//! what there is between, [`problem`] every breakage that is known, and [`report`] what was found. No token is in any of it.

mod call;
pub mod hop;
pub mod hosts;
mod identity;
mod judge;
pub mod known;
pub mod problem;
mod reach;
mod remedy;
pub mod report;
mod steps;

use crate::broker::credentials::{Configured, Credentials, ExternalAccount};
use crate::broker::token::{self, AccessToken, Complaint, Hop as Step, PLACEHOLDER, TokenError};
use call::Call;
pub use call::Target;
use hop::Hop;
use identity::Claims;
use jiff::Timestamp;
use known::{Known, Value};
use problem::Problem;
use report::{Broken, Finding, Log, Report};
use std::time::Duration;
use steps::{TokenStep, place, source, steps};
use vertex_injector_core::contract::broker::Credential;
use vertex_injector_core::contract::proxy::{Project, Region};
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::secret::Secret;
use vertex_injector_net::upstream::{self, Limits, Unanswered, Upstream};

/// What one call of a model may take.
const CALL: Limits = Limits {
    answer: 1024 * 1024,
    deadline: Duration::from_mins(1),
};

/// A pod, as its environment describes it.
#[derive(Debug)]
pub struct Pod {
    /// How it comes to its tokens.
    pub way: Way,
    /// What it calls.
    pub target: Target,
    /// Hosts to which the way is gone when a broker has no token or is cut off. Nothing but the network is looked at there.
    pub hosts: Vec<Endpoint>,
}

/// How a pod comes to its tokens.
#[derive(Debug)]
pub enum Way {
    /// It exchanges a credential, or asks a metadata server.
    Credential(Credential),
    /// The broker's Vertex proxy, at this root, has them and adds them.
    Proxy(Endpoint),
}

/// Goes all the way. `tell` is told of each hop as it is found.
pub async fn examine(pod: &Pod, egress: &Egress, tell: &mut dyn FnMut(&Finding)) -> Report {
    let target = &pod.target;
    let known = Known {
        project: Value::of(target.project.as_ref().map_or("", Project::as_str)),
        region: Value::of(target.region.as_ref().map_or("", Region::as_str)),
        model: Value::of(target.model.as_deref().unwrap_or_default()),
        ..Known::default()
    };
    let mut walk = Walk {
        pod,
        egress,
        log: Log::new(known, tell),
        clock_is_known: false,
    };
    // That it is broken stands in the log.
    let _ = walk.go().await;
    let of_broker = [Problem::BrokerNoToken, Problem::BrokerCutOff, Problem::MetadataRefused];
    if walk.log.problem().is_some_and(|problem| of_broker.contains(&problem)) {
        for host in &pod.hosts {
            walk.look(host).await;
        }
    }
    walk.log.report()
}

struct Walk<'w> {
    pod: &'w Pod,
    egress: &'w Egress,
    log: Log<'w>,
    clock_is_known: bool,
}

impl Walk<'_> {
    async fn go(&mut self) -> Result<(), Broken> {
        match &self.pod.way {
            Way::Proxy(root) => self.by_broker(root).await,
            Way::Credential(told) => {
                let configured = Configured::read(told)
                    .map_err(|error| self.log.broken(Problem::CredentialUnusable, "", format!("{error:#}")))?;
                let credentials = &configured.credentials;
                self.log.known.take(credentials);
                if let Some(project) = &configured.quota_project {
                    self.log.known.quota_project = Value::of(project.as_str());
                }
                self.log.fine(Hop::Configuration, "", self.described(credentials));
                let steps = steps(credentials);
                if let Credentials::ExternalAccount(account) = credentials {
                    self.log.plan(Hop::IdentityToken, source(account));
                }
                for step in &steps {
                    self.plan_way(&step.to);
                    self.log.plan(step.hop, step.at.as_str());
                }
                let vertex = Call::of(&self.pod.target);
                if let Some(call) = &vertex {
                    self.plan_way(&call.url);
                    self.log.plan(Hop::Vertex, call.at.as_str());
                }
                let access = self.token(credentials, &steps).await?;
                match vertex {
                    Some(call) => {
                        self.way(&call.url, false).await?;
                        self.call(&call, &access.secret).await
                    }
                    None => {
                        self.nothing_named();
                        Ok(())
                    }
                }
            }
        }
    }

    /// What the configuration says, in a line.
    fn described(&self, credentials: &Credentials) -> String {
        let known = &self.log.known;
        let mut parts = vec![credentials.kind().to_owned()];
        if known.provider.is_known() {
            parts.push(format!(
                "provider {} of pool {} in project {}",
                known.provider, known.pool, known.number
            ));
        }
        parts.extend(credentials.email().map(|email| format!("as {email}")));
        parts.push(self.what_is_called());
        parts.join(", ")
    }

    fn what_is_called(&self) -> String {
        let known = &self.log.known;
        format!(
            "project {}, location {}, model {}",
            known.project.or("not named"),
            known.region.or("not named"),
            known.model.or("not named")
        )
    }

    /// The token, step by step, with the ways in between.
    async fn token(&mut self, credentials: &Credentials, steps: &[TokenStep]) -> Result<AccessToken, Broken> {
        if let Credentials::ExternalAccount(account) = credentials {
            self.identity_token(account).await?;
        }
        let key = matches!(credentials, Credentials::ServiceAccount(_));
        let mut fetched: Option<Result<AccessToken, TokenError>> = None;
        for step in steps {
            self.way(&step.to, key).await?;
            let outcome = match &mut fetched {
                Some(outcome) => outcome,
                None => fetched.insert(token::fetch(credentials, &self.upstream()).await),
            };
            match outcome {
                Err(error) if !step.is_before(error.hop) => {
                    let (problem, mut words) = (judge::exchange(error), error.detail.clone());
                    if problem == Problem::MetadataRefused {
                        words = self.words_of(&step.to).await.unwrap_or(words);
                    }
                    return Err(self.log.broken(problem, &step.at, words));
                }
                Err(_) => self.log.fine(step.hop, &step.at, "a token"),
                Ok(access) => {
                    let life = access.remaining().as_secs() / 60;
                    self.log.fine(step.hop, &step.at, format!("a token for {life} min"));
                }
            }
        }
        match fetched {
            Some(Ok(access)) => Ok(access),
            Some(Err(error)) => Err(self.log.broken(judge::exchange(&error), "", error.detail)),
            None => Err(self.log.broken(Problem::CredentialUnusable, "", "it leads to no token")),
        }
    }

    async fn identity_token(&mut self, account: &ExternalAccount) -> Result<(), Broken> {
        let at = source(account);
        let token = token::subject_token(account, &self.upstream()).await;
        let token = token.map_err(|error| self.log.broken(judge::exchange(&error), &at, error.detail))?;
        let Some(claims) = Claims::of(&token) else {
            let found = "what is there is no JWT: three parts in base64url with dots between";
            return Err(self.log.broken(Problem::TokenNotJwt, &at, found));
        };
        let known = &mut self.log.known;
        known.issuer = Value::of(&claims.issuer());
        if let Some((namespace, name)) = claims.service_account() {
            known.namespace = Value::of(namespace);
            known.service_account = Value::of(name);
        }
        let audiences = claims.audiences();
        let says = format!(
            "issuer {}, subject {}, audience {}",
            claims.issuer(),
            claims.subject(),
            audiences.join(", ")
        );
        let left = claims.exp.map(|end| end.saturating_sub(Timestamp::now().as_second()));
        match left {
            Some(left) if left <= 0 => {
                let found = format!("{says}; it expired {} min ago", left.saturating_neg() / 60);
                return Err(self.log.broken(Problem::TokenExpired, &at, found));
            }
            Some(_) | None => {}
        }
        let left = left.map(|left| format!("; {} min left", left / 60)).unwrap_or_default();
        let provider = account.audience.trim_start_matches("//");
        let own = |audience: &String| audience.trim_start_matches("https:").trim_start_matches("//") == provider;
        if audiences.iter().any(own) || !self.log.known.provider.is_known() {
            self.log.fine(Hop::IdentityToken, &at, says + &left);
        } else {
            self.log.warning(
                Problem::TokenAudienceUnusual,
                &at,
                format!("{says}{left}; the provider's own audience is https://{provider}"),
            );
        }
        Ok(())
    }

    /// Why a metadata server has no token. The broker's says it in plain words, with the hop that failed.
    async fn words_of(&self, server: &Endpoint) -> Option<String> {
        let path = "/instance/service-accounts/default/token";
        let answer = self.upstream().get_metadata(server, path).await.ok()?;
        let text = std::str::from_utf8(&answer.body).ok();
        let text = text.filter(|text| !answer.status.is_success() && !text.contains('<'))?;
        let words = format!("status {}: {text}", answer.status.as_u16());
        Some(TokenError::passing(Step::Metadata, words).detail)
    }

    fn plan_way(&mut self, to: &Endpoint) {
        if self.is_beside(to) {
            return;
        }
        for hop in reach::hops(self.egress, to) {
            self.log.plan(hop, place(to));
        }
    }

    /// The way that a broker goes, gone beside it. What is wrong here may not be for the broker, which said what is wrong there.
    async fn look(&mut self, to: &Endpoint) {
        let at = place(to);
        self.log.known.host = Value::of(&to.host().to_string());
        let reached = reach::reach(self.egress, to).await;
        for (hop, found) in reached.fine {
            self.log.fine(hop, &at, found);
        }
        match reached.end {
            Err(stopped) => self.log.warning(stopped.problem, &at, stopped.found),
            Ok(Some(there)) if !self.clock_is_known => {
                self.clock_is_known = true;
                match judge::clock(there) {
                    (found, true) => self.log.fine(Hop::Clock, &at, found),
                    (found, false) => self.log.warning(Problem::ClockWrong, &at, found),
                }
            }
            Ok(_) => {}
        }
    }

    /// The way to a host. A `strict` host takes only what our clock has signed.
    async fn way(&mut self, to: &Endpoint, strict: bool) -> Result<(), Broken> {
        let at = place(to);
        self.log.known.host = Value::of(&to.host().to_string());
        let reached = reach::reach(self.egress, to).await;
        if self.is_beside(to) {
            let absent = match self.pod.way {
                Way::Proxy(_) => Problem::BrokerAbsent,
                Way::Credential(_) => Problem::MetadataAbsent,
            };
            let broken = |stopped: reach::Stopped| self.log.broken(absent, &at, stopped.found);
            return reached.end.map(|_| ()).map_err(broken);
        }
        for (hop, found) in reached.fine {
            self.log.fine(hop, &at, found);
        }
        match reached.end {
            Err(stopped) => Err(self.log.broken(stopped.problem, &at, stopped.found)),
            Ok(Some(there)) if !self.clock_is_known => {
                self.clock_is_known = true;
                match judge::clock(there) {
                    (found, true) => self.log.fine(Hop::Clock, &at, found),
                    (found, false) if strict => return Err(self.log.broken(Problem::ClockWrong, &at, found)),
                    (found, false) => self.log.warning(Problem::ClockWrong, &at, found),
                }
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Whether nobody but a broker or the node answers there: one hop by itself.
    fn is_beside(&self, to: &Endpoint) -> bool {
        match &self.pod.way {
            Way::Proxy(_) => true,
            Way::Credential(_) => !to.is_secure() && to.uri().path().starts_with("/computeMetadata/"),
        }
    }

    /// A model is called by the broker on loopback, which has the tokens.
    async fn by_broker(&mut self, root: &Endpoint) -> Result<(), Broken> {
        let says = format!("the broker's Vertex proxy, {}", self.what_is_called());
        self.log.fine(Hop::Configuration, "", says);
        let Some(call) = Call::at(root, &self.pod.target) else {
            self.plan_way(root);
            self.way(root, false).await?;
            self.nothing_named();
            return Ok(());
        };
        self.plan_way(root);
        self.log.plan(Hop::Broker, place(root));
        self.log.plan(Hop::Vertex, call.at.as_str());
        self.way(root, false).await?;
        let secret = Secret::new(PLACEHOLDER);
        match self.ask(&call, &secret).await {
            Err(error) => Err(self.log.broken(Problem::BrokerCutOff, &place(root), error.to_string())),
            Ok(Some(complaint)) if complaint.words.contains(": vertex-injector: ") => {
                Err(self
                    .log
                    .broken(judge::broker(&complaint), &place(root), complaint.words))
            }
            Ok(outcome) => {
                self.log.fine(Hop::Broker, &place(root), "it let the call through");
                self.answered(&call, outcome)
            }
        }
    }

    async fn call(&mut self, call: &Call, token: &Secret) -> Result<(), Broken> {
        match self.ask(call, token).await {
            Err(error) => Err(self.log.broken(Problem::VertexFails, &call.at, error.to_string())),
            Ok(outcome) => self.answered(call, outcome),
        }
    }

    async fn ask(&self, call: &Call, token: &Secret) -> Result<Option<Complaint>, Unanswered> {
        let upstream = self.upstream().limited(CALL);
        let answer = upstream.post_json(&call.url, token, &call.body).await?;
        Ok(Complaint::of(&answer, &[token]))
    }

    fn answered(&mut self, call: &Call, outcome: Option<Complaint>) -> Result<(), Broken> {
        match outcome {
            None => {
                self.log.fine(Hop::Vertex, &call.at, "the model answered");
                Ok(())
            }
            Some(complaint) => Err(self.log.broken(judge::vertex(&complaint), &call.at, complaint.words)),
        }
    }

    fn nothing_named(&mut self) {
        let found = format!("no model was called: {}", self.what_is_called());
        self.log.warning(Problem::NothingNamed, "", found);
    }

    /// Connections as the broker makes them. Without any trusted certificate only loopback can be asked.
    fn upstream(&self) -> Upstream {
        upstream::google(self.egress).map_or_else(|_| Upstream::new(upstream::plain()), Upstream::new)
    }
}
