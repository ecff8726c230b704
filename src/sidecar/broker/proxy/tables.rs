//! What a request may have, place by place: the form of the tables in [`anthropic`], [`google`] and [`openai`].
//!
//! They are written from the published types of the requests, and a test reads these types where clients have them. A member that
//! is in no table is none that anybody has judged.

/// The members of an object: those that are plain, and the others.
macro_rules! fields {
    ($plain:expr, $judged:expr $(,)?) => {
        $crate::broker::proxy::tables::Fields {
            plain: $plain,
            judged: $judged,
        }
    };
}

/// Objects that all have the same members.
macro_rules! alike {
    ($plain:expr, $judged:expr $(,)?) => {
        $crate::broker::proxy::tables::Place::Alike(fields!($plain, $judged))
    };
}

/// Objects of a type that asks for nothing by itself.
macro_rules! of_type {
    ($name:expr, $plain:expr, $judged:expr $(,)?) => {
        $crate::broker::proxy::tables::Type {
            name: $name,
            asks: None,
            fields: fields!($plain, $judged),
        }
    };
}

pub mod anthropic;
pub mod google;
pub mod openai;

use vertex_injector_core::contract::proxy::{Feature, Publisher};

/// Where objects may stand, alone or in a list, and what they may have there. A string or number instead of one says nothing where
/// objects decide about nothing; elsewhere it is refused.
#[derive(Debug)]
pub enum Place {
    /// They all have the same members.
    Alike(Fields),
    /// Their `type` says which.
    ByType {
        /// All types that there are.
        types: &'static [&'static Type],
        /// Whether the provider names the type when it says where something stands.
        told: bool,
    },
    /// Sources of content, of Anthropic's: one of another type comes from a file or from a URL.
    Source(&'static [&'static Type]),
    /// Tools of Anthropic's: objects only, by their `type`.
    AnthropicTool {
        /// As for [`Self::ByType`].
        told: bool,
    },
    /// Tools of Google's: objects only, by their members, all of which are tools.
    GoogleTool(Fields),
    /// Members of any name, with objects of the same kind.
    Each(&'static Self),
    /// What belongs to a tool that this version does not know; judged by names.
    Free,
}

/// A type of objects.
#[derive(Debug)]
pub struct Type {
    /// Its name.
    pub name: &'static str,
    /// What its mere presence asks for.
    pub asks: Option<Feature>,
    /// What its objects may have besides `type`.
    pub fields: Fields,
}

/// The members that an object may have.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// Those with strings, numbers, and lists of these, which ask for nothing.
    pub plain: &'static [&'static str],
    /// The others.
    pub judged: &'static [(&'static str, Member)],
}

/// What a member is. `null` is none.
#[derive(Debug, Clone, Copy)]
pub enum Member {
    /// Data by the API's definition: whatever it holds, it means nothing.
    Data,
    /// More objects.
    In(&'static Place),
    /// Something that the provider does, and how.
    Asks(Feature, &'static Place),
    /// The same, but an empty list is what some clients send for none.
    AsksUnlessEmpty(Feature, &'static Place),
    /// A model's name.
    Model,
    /// Leaves it to the provider to choose the model.
    Choice(&'static Place),
    /// A text leaves the choice to the provider; objects name models.
    Fallbacks(&'static Place),
    /// A resource, by its full name, which begins with its project.
    Resource,
    /// Something that is stored at the provider, by its ID or its full name.
    Stored,
    /// Gemini's `fileData`; without an address it is a file nobody knows where.
    File(&'static Place),
    /// Gemini's `fileUri`.
    Address,
    /// OpenAI's address of an image, which may hold it; or an object with one.
    Link(&'static Place),
    /// The bytes of something, or where they are.
    Payload,
}

/// Nothing: what has no members.
pub static NOTHING: Place = alike!(&[], &[]);

/// What no table knows in detail.
pub static FREE: Place = Place::Free;

impl Place {
    /// Whether something that decides about a call can only be said by an object here, so that nothing else may stand for it.
    pub fn needs_objects(&self) -> bool {
        match self {
            Self::Alike(fields) => fields.judged.iter().any(|(_, member)| member.decides()),
            // A text stands for a block of text, where there are such blocks.
            Self::ByType { types, .. } => !types.iter().any(|of| of.name == "text"),
            Self::Source(_) | Self::AnthropicTool { .. } | Self::GoogleTool(_) => true,
            Self::Each(_) | Self::Free => false,
        }
    }
}

impl Member {
    /// Whether it is more than data or a place for more members.
    fn decides(self) -> bool {
        match self {
            Self::Data | Self::In(_) => false,
            Self::Asks(..)
            | Self::AsksUnlessEmpty(..)
            | Self::Model
            | Self::Choice(_)
            | Self::Fallbacks(_)
            | Self::Resource
            | Self::Stored
            | Self::File(_)
            | Self::Address
            | Self::Link(_)
            | Self::Payload => true,
        }
    }
}

impl Fields {
    /// The member that is spelled `key`, and whether that is its first spelling: proto3 JSON has a second one, with underscores.
    pub fn find(&self, publisher: Publisher, key: &str) -> Option<(Member, bool)> {
        let second = publisher == Publisher::Google && key.contains('_');
        let is = |name: &str| {
            if second {
                snake(name).eq(key.bytes())
            } else {
                name == key
            }
        };
        let judged = self.judged.iter().find(|(name, _)| is(name));
        let member = judged.map(|(_, member)| *member);
        let found = member.or_else(|| {
            let plain = self.plain.iter().any(|name| is(name));
            plain.then_some(Member::In(&NOTHING))
        });
        found.map(|member| (member, !second))
    }
}

/// A name with an underscore and a small letter for each capital.
pub fn snake(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().flat_map(|byte| {
        let underscore = byte.is_ascii_uppercase().then_some(b'_');
        underscore.into_iter().chain([byte.to_ascii_lowercase()])
    })
}
