package report

import "github.com/goldcrest/goldcrest/invalid"

// Config configures the reports of unexpected failures.
type Config struct {
	// DSNFile is a file with the DSN of a Sentry project (https://KEY@HOST/PROJECT), or of another service with its
	// protocol. Reports of panics, internal faults and crashed workers are sent there. Empty = nothing is reported.
	DSNFile string `yaml:"dsn_file" secret:"file"`
	// Environment is the name under which reports are filed, such as production or staging.
	Environment string `yaml:"environment"`
	// Sample is the fraction of failures that is reported, above 0 and up to 1, chosen at random.
	Sample float64 `yaml:"sample"`
	// PerMinute is the maximum number of reports a minute. Failures beyond that are only logged.
	PerMinute int `yaml:"per_minute"`
	// Dir is a directory that keeps the stack of a failure that ends the process until the next start reports it.
	// Empty = the system's directory for temporary files, which a new container or a service's restart may find empty.
	Dir string `yaml:"dir"`
}

// Default reports nothing; with a DSN it reports up to ten failures a minute.
func Default() Config { return Config{Environment: "production", Sample: 1, PerMinute: 10} }

// Validate reports every invalid value.
func (c Config) Validate() error {
	var bad invalid.Values
	bad.If(c.Environment == "", "reports.environment: is empty")
	bad.If(!(c.Sample > 0 && c.Sample <= 1), "reports.sample: %v is not above 0 and up to 1", c.Sample)
	bad.If(c.PerMinute < 1 || c.PerMinute > 1000, "reports.per_minute: %d is not from 1 to 1000", c.PerMinute)
	return bad.Err()
}
