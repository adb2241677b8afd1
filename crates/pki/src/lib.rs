//! The certificate authority of an installation.
