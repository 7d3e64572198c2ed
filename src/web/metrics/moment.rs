//! What stands somewhere at one moment, under the names that it is shown by.

use crate::domain::error::Result;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::time::Duration;

#[derive(Default)]
pub struct Moment(Registry);

fn seconds(ms: i64) -> f64 {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
}

impl Moment {
    pub fn gauge(&self, name: &str, help: &str, value: i64) -> Result<()> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value);
        Ok(self.0.register(Box::new(gauge))?)
    }

    /// From milliseconds, shown in seconds.
    pub fn gauge_ms(&self, name: &str, help: &str, value_ms: i64) -> Result<()> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(seconds(value_ms));
        Ok(self.0.register(Box::new(gauge))?)
    }

    pub fn gauges<'v>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'v str, i64)>,
    ) -> Result<()> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        for (of, value) in values {
            gauges.with_label_values(&[of]).set(value);
        }
        Ok(self.0.register(Box::new(gauges))?)
    }

    /// From milliseconds, shown in seconds.
    pub fn gauges_ms<'v>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'v str, i64)>,
    ) -> Result<()> {
        let gauges = GaugeVec::new(Opts::new(name, help), &[label])?;
        for (of, value_ms) in values {
            gauges.with_label_values(&[of]).set(seconds(value_ms));
        }
        Ok(self.0.register(Box::new(gauges))?)
    }

    /// From what has been counted elsewhere.
    pub fn counters<'v>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'v str, u64)>,
    ) -> Result<()> {
        let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
        for (of, count) in values {
            counters.with_label_values(&[of]).inc_by(count);
        }
        Ok(self.0.register(Box::new(counters))?)
    }

    pub fn gather(&self) -> Vec<MetricFamily> {
        self.0.gather()
    }
}
