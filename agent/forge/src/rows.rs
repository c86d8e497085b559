//! Rows: what Nix writes there, and what somebody else might.

use crate::error::ForgeError;
use crate::signer::Signer;
use crate::store::Forge;
use crate::tree::Tree;
use narwarden_core::content_address::ContentAddress;
use narwarden_core::fingerprint::fingerprint;
use narwarden_core::hash::NarHash;
use narwarden_core::store_path::StorePath;
use rusqlite::{OptionalExtension as _, ToSql, params};
use std::num::NonZeroU64;

/// A column of `ValidPaths`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// `path`
    Path,
    /// `hash`
    Hash,
    /// `registrationTime`
    RegistrationTime,
    /// `deriver`
    Deriver,
    /// `narSize`
    NarSize,
    /// `ultimate`
    Ultimate,
    /// `sigs`
    Signatures,
    /// `ca`
    ContentAddress,
}

impl Column {
    /// Its name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Hash => "hash",
            Self::RegistrationTime => "registrationTime",
            Self::Deriver => "deriver",
            Self::NarSize => "narSize",
            Self::Ultimate => "ultimate",
            Self::Signatures => "sigs",
            Self::ContentAddress => "ca",
        }
    }
}

impl Forge {
    /// Writes the row of a path that holds `tree`.
    pub(crate) fn register(
        &self,
        path: &StorePath,
        tree: &Tree,
        address: Option<&ContentAddress>,
    ) -> Result<(), ForgeError> {
        let (hash, size) = tree.nar()?;
        let row = params![
            path.to_string(),
            hash.to_base16(),
            size.get().cast_signed(),
            address.map(ToString::to_string)
        ];
        self.connection().execute(
            "INSERT INTO ValidPaths (path, hash, registrationTime, narSize, ca) \
             VALUES (?1, ?2, 1700000000, ?3, ?4)",
            row,
        )?;
        Ok(())
    }

    /// Makes the row say of `path` what its bytes are now.
    ///
    /// # Errors
    /// Bytes that cannot be read.
    pub fn adjust_row(&mut self, path: &StorePath) -> Result<(), ForgeError> {
        let (hash, size) = Tree::read(&self.physical(path))?.nar()?;
        self.set(path, Column::Hash, hash.to_base16())?;
        self.set(path, Column::NarSize, size.get().cast_signed())
    }

    /// Sets a column of the row of `path` to anything.
    ///
    /// # Errors
    /// A path without a row.
    pub fn set(
        &mut self,
        path: &StorePath,
        column: Column,
        value: impl ToSql,
    ) -> Result<(), ForgeError> {
        let id = self.id(path)?;
        let statement = format!("UPDATE ValidPaths SET {} = ?2 WHERE id = ?1", column.name());
        self.connection().execute(&statement, params![id, value])?;
        Ok(())
    }

    /// Deletes the row of `path` and nothing else: neither its bytes nor references to it.
    ///
    /// # Errors
    /// A path without a row.
    pub fn delete_row(&mut self, path: &StorePath) -> Result<(), ForgeError> {
        let id = self.id(path)?;
        let keep = "CREATE TABLE IF NOT EXISTS Deleted AS SELECT * FROM ValidPaths WHERE 0";
        self.connection().execute(keep, [])?;
        let copy = "INSERT INTO Deleted SELECT * FROM ValidPaths WHERE id = ?1";
        self.connection().execute(copy, [id])?;
        self.connection().execute("DELETE FROM ValidPaths WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Brings back a row that [`delete_row`](Self::delete_row) deleted.
    ///
    /// # Errors
    /// A path whose row is there.
    pub fn restore_row(&mut self, path: &StorePath) -> Result<(), ForgeError> {
        let copy = "INSERT INTO ValidPaths SELECT * FROM Deleted WHERE path = ?1";
        self.connection().execute(copy, [path.to_string()])?;
        Ok(())
    }

    /// The number of the row of `path`.
    ///
    /// # Errors
    /// A path without a row.
    pub fn id(&self, path: &StorePath) -> Result<i64, ForgeError> {
        let query = "SELECT id FROM ValidPaths WHERE path = ?1";
        let id = self.connection().query_row(query, [path.to_string()], |row| row.get(0));
        id.optional()?.ok_or_else(|| ForgeError::NotRegistered(path.clone()))
    }

    /// Makes the database say that one path refers to the other.
    ///
    /// # Errors
    /// Paths without a row.
    pub fn add_reference(&mut self, from: &StorePath, to: &StorePath) -> Result<(), ForgeError> {
        let row = [self.id(from)?, self.id(to)?];
        self.connection().execute("INSERT OR IGNORE INTO Refs VALUES (?1, ?2)", row)?;
        Ok(())
    }

    /// Makes the database no longer say so.
    ///
    /// # Errors
    /// Paths without a row.
    pub fn remove_reference(&mut self, from: &StorePath, to: &StorePath) -> Result<(), ForgeError> {
        let row = [self.id(from)?, self.id(to)?];
        let statement = "DELETE FROM Refs WHERE referrer = ?1 AND reference = ?2";
        self.connection().execute(statement, row)?;
        Ok(())
    }

    /// What would be signed of `path`: what its row says, as with `nix store sign`.
    ///
    /// # Errors
    /// A row that does not say what its NAR is.
    pub fn fingerprint(&self, path: &StorePath) -> Result<String, ForgeError> {
        let id = self.id(path)?;
        let query = "SELECT hash, narSize FROM ValidPaths WHERE id = ?1";
        let (hash, size): (String, Option<i64>) =
            self.connection().query_row(query, [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let size = size.and_then(|size| NonZeroU64::new(size.cast_unsigned()));
        let size = size.ok_or_else(|| ForgeError::NoSize(path.clone()))?;
        let mut statement = self.connection().prepare(
            "SELECT path FROM Refs JOIN ValidPaths ON id = reference WHERE referrer = ?1",
        )?;
        let references = statement
            .query_map([id], |row| row.get::<_, String>(0))?
            .map(|text| Ok(StorePath::parse(&text?)?))
            .collect::<Result<Vec<_>, ForgeError>>()?;
        Ok(fingerprint(path, &NarHash::parse(&hash)?, size, &references))
    }

    /// Adds signatures of these keys to what `path` has.
    ///
    /// # Errors
    /// As for [`fingerprint`](Self::fingerprint).
    pub fn sign(&mut self, path: &StorePath, signers: &[&Signer]) -> Result<(), ForgeError> {
        let fingerprint = self.fingerprint(path)?;
        let mut signatures = self.signatures(path)?;
        signatures.extend(signers.iter().map(|signer| signer.sign(&fingerprint)));
        self.set(path, Column::Signatures, signatures.join(" "))
    }

    /// Leaves `path` with signatures of these keys and no others.
    ///
    /// # Errors
    /// As for [`fingerprint`](Self::fingerprint).
    pub fn sign_afresh(&mut self, path: &StorePath, signers: &[&Signer]) -> Result<(), ForgeError> {
        self.set(path, Column::Signatures, None::<String>)?;
        self.sign(path, signers)
    }

    /// Signs every row as it stands, whatever the bytes are: what `nix store sign --all` does.
    ///
    /// # Errors
    /// As for [`fingerprint`](Self::fingerprint).
    pub fn sign_every_row(&mut self, signers: &[&Signer]) -> Result<(), ForgeError> {
        for path in self.paths()? {
            self.sign(&path, signers)?;
        }
        Ok(())
    }

    /// The signatures that `path` has.
    ///
    /// # Errors
    /// A path without a row.
    pub fn signatures(&self, path: &StorePath) -> Result<Vec<String>, ForgeError> {
        let query = "SELECT sigs FROM ValidPaths WHERE id = ?1";
        let text: Option<String> =
            self.connection().query_row(query, [self.id(path)?], |row| row.get(0))?;
        let text = text.unwrap_or_default();
        Ok(text.split(' ').filter(|it| !it.is_empty()).map(str::to_owned).collect())
    }

    /// Every registered path, in the order of registration.
    ///
    /// # Errors
    /// Rows that are about no store path.
    pub fn paths(&self) -> Result<Vec<StorePath>, ForgeError> {
        let mut statement = self.connection().prepare("SELECT path FROM ValidPaths ORDER BY id")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|text| Ok(StorePath::parse(&text?)?)).collect()
    }
}
