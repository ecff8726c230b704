//! How long certificates are good, as people write it: a number and `s`, `m`, `h` or `d`.

use super::decision::Lifetimes;
use anyhow::ensure;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Longest that is taken: ten years.
const LONGEST: u32 = 3_650 * 86_400;

/// Most authorities that follow one another during the life of one of them, all of which are trusted. [`decision`] allows for
/// twice as many, for those that are made because a Secret was deleted.
///
/// [`decision`]: super::decision
const MOST_AT_A_TIME: u32 = 16;

/// Seconds, written with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(u32);

/// When what is renewed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) lifetimes: Lifetimes,
    /// How long API servers may take to learn of a `caBundle`.
    pub(crate) settle: Duration,
}

impl Plan {
    /// # Errors
    /// When they do not leave time to renew one certificate after the other.
    pub(crate) fn new(authority: Lifetime, certificate: Lifetime, settle: Lifetime) -> anyhow::Result<Self> {
        ensure!(
            authority.0.saturating_sub(certificate.0) >= authority.0.div_ceil(MOST_AT_A_TIME),
            "--certificate-lifetime={certificate} is more than 15/16 of --ca-lifetime={authority}: an authority signs until its \
             certificates could outlive it, and no more than {MOST_AT_A_TIME} are trusted at a time"
        );
        ensure!(
            settle.0.saturating_mul(4) <= certificate.0,
            "--ca-settle={settle} is more than a quarter of --certificate-lifetime={certificate}: a certificate has to last while API \
             servers learn of a new authority"
        );
        Ok(Self {
            lifetimes: Lifetimes {
                authority: authority.0.into(),
                certificate: certificate.0.into(),
            },
            settle: Duration::from_secs(settle.0.into()),
        })
    }
}

impl FromStr for Lifetime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected a number and a unit, from 1s to 3650d: 365d, 12h, 30m, 90s";
        let unit = UNITS
            .iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, seconds)));
        let (number, seconds) = unit.ok_or(FORM)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FORM);
        }
        let number = number
            .parse::<u32>()
            .ok()
            .and_then(|number| number.checked_mul(*seconds));
        number
            .filter(|seconds| (1..=LONGEST).contains(seconds))
            .map(Self)
            .ok_or(FORM)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| self.0.is_multiple_of(*seconds));
        let (unit, seconds) = unit.copied().unwrap_or(('s', 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(authority: &str, certificate: &str, settle: &str) -> Result<Plan, String> {
        let parse = |text: &str| text.parse::<Lifetime>().unwrap();
        Plan::new(parse(authority), parse(certificate), parse(settle)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_lifetime_is_a_number_and_a_unit() {
        for text in ["1s", "90s", "30m", "12h", "365d", "3650d"] {
            assert_eq!(text.parse::<Lifetime>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "d",
            "0s",
            "1",
            "-1d",
            "+1d",
            "1.5h",
            "1 d",
            "3651d",
            "99999999999d",
            "1w",
            "1d2h",
        ] {
            assert!(text.parse::<Lifetime>().unwrap_err().contains("365d"), "{text:?}");
        }
    }

    #[test]
    fn a_certificate_ends_well_before_its_authority_and_lasts_while_all_learn_of_a_new_one() {
        assert!(plan("365d", "30d", "10m").is_ok());
        assert!(plan("32d", "30d", "10m").is_ok());
        for authority in ["31d", "30d", "1d"] {
            let error = plan(authority, "30d", "10m").unwrap_err();
            let expected = format!("--certificate-lifetime=30d is more than 15/16 of --ca-lifetime={authority}");
            assert!(error.contains(&expected), "{error}");
        }
        let error = plan("365d", "30m", "10m").unwrap_err();
        assert!(
            error.contains("--ca-settle=10m is more than a quarter of --certificate-lifetime=30m"),
            "{error}"
        );
    }
}
