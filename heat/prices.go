package heat

import (
	"math"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/invalid"
)

// The values of Config.Hot.
const (
	on  = "on"
	off = "off"
)

// maxPrice is the highest plausible price: a higher one is a mistake.
const maxPrice = 1000

// Config says when variants are worth a slower encoder.
type Config struct {
	// Hot is on or off. With on, a variant that is viewed often is made once more by a slower encoder, in fewer bytes,
	// as soon as the bytes that it would have saved cost as much as the processor time. off = no variant is.
	Hot string `yaml:"hot"`
	// PriceCPUHour is the price of an hour of one processor, in USD or in any other currency. 0 = free.
	PriceCPUHour float64 `yaml:"price_cpu_hour"`
	// PriceGB is the price of 10^9 bytes sent to viewers, in the same currency. 0 = free, and no variant is remade.
	PriceGB float64 `yaml:"price_gb"`

	// MostCPU is the maximum expected processor time of a remake. Set by package app; 0 = any.
	MostCPU time.Duration
}

// Default has the prices of large clouds.
func Default() Config { return Config{Hot: on, PriceCPUHour: 0.04, PriceGB: 0.10} }

// Validate reports every invalid value.
func (c Config) Validate() error {
	var bad invalid.Values
	bad.If(c.Hot != on && c.Hot != off, "quality.hot: %q is neither %s nor %s", c.Hot, on, off)
	for name, price := range map[string]float64{"price_cpu_hour": c.PriceCPUHour, "price_gb": c.PriceGB} {
		bad.If(!(price >= 0 && price <= maxPrice), // NaN is neither
			"quality.%s: %g is not between 0 and %d", name, price, maxPrice)
	}
	return bad.Err()
}

// The expected cost and gain of a remake before any was made, by measurement: see docs/adr/0027-hot-variants.md.
const (
	startRate  = 1.2  // seconds of processor time per megapixel
	startShare = 0.14 // fraction of the bytes that is saved
)

// Learned values stay within these bounds; the last remake has this weight in the average.
const (
	leastRate, mostRate   = 0.05, 60
	leastShare, mostShare = 0.01, 0.5
	memory                = 16
)

// prices decides what pays, from the results of earlier remakes. Safe for concurrent use.
type prices struct {
	cfg Config

	mu          sync.Mutex
	rate, share float64
}

func newPrices(cfg Config) *prices { return &prices{cfg: cfg, rate: startRate, share: startShare} }

// needed is Counter.Needed: the views at which the wasted bytes cost as much as the remake.
func (p *prices) needed(pixels, bytes int64) int {
	p.mu.Lock()
	seconds, share := p.rate*float64(pixels)/1e6, p.share
	p.mu.Unlock()
	if p.cfg.MostCPU > 0 && seconds > p.cfg.MostCPU.Seconds() {
		return Never
	}
	cost := seconds * p.cfg.PriceCPUHour / 3600
	view := float64(bytes) * share * p.cfg.PriceGB / 1e9
	if view <= 0 || cost/view >= Never {
		return Never
	}
	return max(1, int(math.Ceil(cost/view)))
}

// learn records the result of a remake.
func (p *prices) learn(r Remake) {
	if r.Pixels <= 0 || r.Before <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.CPU > 0 {
		p.rate = towards(p.rate, min(max(r.CPU.Seconds()*1e6/float64(r.Pixels), leastRate), mostRate))
	}
	p.share = min(max(towards(p.share, 1-float64(r.After)/float64(r.Before)), leastShare), mostShare)
}

func towards(average, value float64) float64 { return average + (value-average)/memory }
