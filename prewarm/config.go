package prewarm

import (
	"time"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
	"github.com/goldcrest/goldcrest/variant"
)

// Config configures prewarm. The queue's own settings (queue.dir, queue.nats) belong to package natsqueue.
type Config struct {
	// Presets are the names of the presets to make if a call requests no variants. Empty = such calls are refused.
	Presets []string `yaml:"presets"`
	// Formats are the formats in which a variant with an open format is prewarmed: of avif, jxl, webp and jpeg. For a
	// client that needs another format the variant is made on request.
	Formats []string `yaml:"formats"`
	// Select are the JSONPath or JSON Pointer selectors that find image URLs if neither call nor unit has any. Empty =
	// image URLs are recognised by what they look like.
	Select []string `yaml:"select"`
	// Workers is the number of images worked on concurrently, most of them waiting for their origin. 0 = four per core.
	Workers int `yaml:"workers"`
	// CallVariants bounds the variants that one call may request: its images times the variants of each, with formats
	// and weight classes counted separately. A larger call is refused before anything is built.
	CallVariants int `yaml:"call_variants"`
	// Retry are the pauses before each retry of an image whose failure may be temporary, plus up to a fifth at random.
	// Each is at most an hour. Empty = no retry.
	Retry []time.Duration `yaml:"retry"`
	// Keep is how long jobs, verdicts and idempotency keys are kept.
	Keep time.Duration `yaml:"keep"`
	// Callbacks configures the hosts to which callbacks may be sent.
	Callbacks webhook.Config `yaml:"callbacks"`

	// Drain is how long a stopping worker may take to finish the images in progress; the composition root sets it from
	// server.drain.
	Drain time.Duration `yaml:"-"`
	// Backlog bounds the waiting images; beyond it calls are refused with queue_full. 0 = 1,000,000.
	Backlog int `yaml:"-"`
}

// Default is the configuration of a server without settings.
func Default() Config {
	return Config{
		Formats: []string{"avif", "webp", "jpeg"},
		Retry:   []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute},
		Keep:    168 * time.Hour,

		CallVariants: 200_000,
	}
}

// maxTries bounds the list of pauses: a longer one is a mistake.
const maxTries = 20

// maxCallVariants bounds CallVariants: the variants of a call are in memory while it is accepted.
const maxCallVariants = 2_000_000

// Validate reports all invalid settings.
func (c Config) Validate() error {
	var bad invalid.Values
	bad.If(len(c.Formats) == 0, "prewarm.formats: at least one of avif, jxl, webp, jpeg is needed")
	for _, name := range c.Formats {
		f, ok := variant.ParseFormat(name)
		bad.If(!ok || f == variant.PNG || f == variant.GIF,
			"prewarm.formats: %q is none of avif, jxl, webp, jpeg", name)
	}
	for _, d := range c.Retry {
		bad.If(d <= 0 || d > time.Hour, "prewarm.retry: %v is not more than 0 and at most an hour", d)
	}
	bad.If(len(c.Retry) > maxTries, "prewarm.retry: %d pauses are more than %d", len(c.Retry), maxTries)
	bad.If(c.Workers < 0 || c.Workers > 4096,
		"prewarm.workers: %d is not between 0 (four per core) and 4096", c.Workers)
	bad.If(c.CallVariants < 1 || c.CallVariants > maxCallVariants,
		"prewarm.call_variants: %d is not between 1 and %d", c.CallVariants, maxCallVariants)
	bad.If(c.Keep < time.Hour, "prewarm.keep: %v is less than an hour", c.Keep)
	bad.If(c.Backlog < 0, "prewarm: a backlog of %d must not be negative", c.Backlog)
	return bad.Err(c.Callbacks.Validate())
}
