//! What is said of an action.

use http::Method;

/// What the API server's roles call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET and HEAD.
    Get,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl Verb {
    /// All of them, for what is proxied.
    pub const ALL: &'static [Self] = &[
        Self::Get,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
    ];

    /// The verb of a method, as the API server has it too.
    pub(crate) fn of(method: &Method) -> Option<Self> {
        Some(match *method {
            Method::GET | Method::HEAD => Self::Get,
            Method::POST => Self::Create,
            Method::PUT => Self::Update,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            _ => return None,
        })
    }

    /// The word in a role.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Create => Method::POST,
            Self::Update => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// What is said of an action. Starts as a POST that ends soon; the rest is said where it is otherwise.
#[derive(Clone, Debug)]
pub struct ActionInfo {
    pub(crate) resource: &'static str,
    pub(crate) parent: &'static str,
    pub(crate) subresource: &'static str,
    pub(crate) verbs: &'static [Verb],
    pub(crate) summary: &'static str,
    pub(crate) long_running: bool,
    pub(crate) rest: bool,
    pub(crate) body_limit: usize,
}

impl ActionInfo {
    /// An action on a resource: its plural, its kind, and the action's name.
    #[must_use]
    pub const fn new(
        resource: &'static str,
        parent: &'static str,
        subresource: &'static str,
    ) -> Self {
        Self {
            resource,
            parent,
            subresource,
            verbs: &[Verb::Create],
            summary: "",
            long_running: false,
            rest: false,
            body_limit: 1024 * 1024,
        }
    }

    /// One that only shows something: GET.
    #[must_use]
    pub const fn shows(mut self) -> Self {
        self.verbs = &[Verb::Get];
        self
    }

    /// All the ways it may be asked for.
    #[must_use]
    pub const fn verbs(mut self, verbs: &'static [Verb]) -> Self {
        self.verbs = verbs;
        self
    }

    /// One sentence about it.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// May take longer than a minute. The API server itself ends all but those that are named `log`, `proxy`, `exec`,
    /// `attach` or `portforward`.
    #[must_use]
    pub const fn long_running(mut self) -> Self {
        self.long_running = true;
        self
    }

    /// A path may follow its name. The API server asks nobody's rights for it beyond those on the action itself.
    #[must_use]
    pub const fn with_rest(mut self) -> Self {
        self.rest = true;
        self
    }

    /// Bytes that the body of a request may have, where it is read as JSON.
    #[must_use]
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// `webservices/listkeys`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.resource, self.subresource)
    }

    pub(crate) fn verb_names(&self) -> Vec<&'static str> {
        self.verbs.iter().map(|verb| verb.as_str()).collect()
    }

    pub(crate) fn methods(&self) -> String {
        let methods: Vec<_> = self.verbs.iter().map(|v| v.method().to_string()).collect();
        methods.join(", ")
    }
}
