//! The file that `sidetone calibrate` writes and the appliance reads at its start.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::speaker::calibration::{Calibration, Recalibration};
use crate::speaker::embedder::Embedders;
use crate::speaker::recalibration::Fit;

/// A site's calibration, and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteCalibration {
    /// Embedders whose scores it is for, `name@version` of each.
    pub models: String,
    /// When it was made.
    pub made: jiff::Timestamp,
    /// Trials of each kind, and their speakers.
    pub targets: usize,
    /// See `targets`.
    pub others: usize,
    /// See `targets`.
    pub speakers: usize,
    /// Cost of the ratios before and after, bits.
    pub cllr_before: f64,
    /// See `cllr_before`.
    pub cllr_after: f64,
    /// The line itself.
    pub line: Recalibration,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SiteCalibrationError {
    /// The system refused.
    #[error("cannot use {}: {error}", .file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is none.
    #[error("{}: {error}", .file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// What is wrong, with its line.
        error: Box<toml::de::Error>,
    },
    /// It is for other models.
    #[error("{} was made for {found}, and {wanted} are in use: calibrate anew", .file.display())]
    Models {
        /// Which file.
        file: PathBuf,
        /// Its models.
        found: String,
        /// Ours.
        wanted: String,
    },
    /// A line that falls.
    #[error("{}: the slope is {slope}, and a number above 0 was wanted", .file.display())]
    Slope {
        /// Which file.
        file: PathBuf,
        /// Its slope.
        slope: f64,
    },
}

impl SiteCalibration {
    /// What was fitted to scores of `models`, now.
    pub fn of(models: &Embedders, fit: Fit) -> Self {
        let Fit { line, targets, others, speakers, cllr_before, cllr_after } = fit;
        let (models, made) = (models.to_string(), jiff::Timestamp::now());
        Self { models, made, targets, others, speakers, cllr_before, cllr_after, line }
    }

    /// Writes it for a person and a program to read.
    pub fn write(&self, file: &Path) -> Result<(), SiteCalibrationError> {
        let text = toml::to_string(self).expect("numbers and strings always serialise");
        let head = "# Made by `sidetone calibrate`.\n";
        std::fs::write(file, format!("{head}{text}"))
            .map_err(|error| SiteCalibrationError::Io { file: file.to_owned(), error })
    }

    /// Reads it for the embedders in use.
    pub fn read(file: &Path, models: &Embedders) -> Result<Self, SiteCalibrationError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| SiteCalibrationError::Io { file: file.to_owned(), error })?;
        let found: Self = toml::from_str(&text).map_err(|error| SiteCalibrationError::Syntax {
            file: file.to_owned(),
            error: Box::new(error),
        })?;
        let file = file.to_owned();
        if found.models != models.to_string() {
            let (found, wanted) = (found.models, models.to_string());
            return Err(SiteCalibrationError::Models { file, found, wanted });
        }
        let slope = found.line.slope;
        if !(slope > 0.0 && slope.is_finite() && found.line.offset.is_finite()) {
            return Err(SiteCalibrationError::Slope { file, slope });
        }
        Ok(found)
    }
}

/// The shipped calibration, corrected by the site's file where one is named.
pub fn in_use(
    file: Option<&Path>,
    models: &Embedders,
) -> Result<Calibration, SiteCalibrationError> {
    let shipped = Calibration::RESNET34_GE2E;
    file.map_or(Ok(shipped), |file| Ok(shipped.at_site(SiteCalibration::read(file, models)?.line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit() -> Fit {
        Fit {
            line: Recalibration { slope: 0.9, offset: -0.2 },
            targets: 80,
            others: 400,
            speakers: 20,
            cllr_before: 0.1,
            cllr_after: 0.09,
        }
    }

    #[test]
    fn what_is_written_is_read_and_for_other_models_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("site.toml");
        let models = Embedders { decide: "a@1".to_owned(), watch: Some("b@2".to_owned()) };
        let written = SiteCalibration::of(&models, fit());
        written.write(&file).expect("written");
        assert_eq!(SiteCalibration::read(&file, &models).expect("read"), written);
        let other = Embedders { decide: "a@2".to_owned(), ..models.clone() };
        let error = SiteCalibration::read(&file, &other).expect_err("other models").to_string();
        assert!(error.ends_with("was made for a@1 b@2, and a@2 b@2 are in use: calibrate anew"));
        let text = std::fs::read_to_string(&file).expect("text");
        std::fs::write(&file, text.replace("slope = 0.9", "slope = -0.9")).expect("written");
        let error = SiteCalibration::read(&file, &models).expect_err("it falls").to_string();
        assert!(error.ends_with("the slope is -0.9, and a number above 0 was wanted"), "{error}");
        std::fs::write(&file, "slop = 1").expect("written");
        assert!(SiteCalibration::read(&file, &models).is_err());
    }
}
