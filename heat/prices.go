package heat

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// Whether variants are remade.
const (
	on  = "on"
	off = "off"
)

// maxPrice bounds prices: past it something else was meant.
const maxPrice = 1000

// Config is when variants are worth a slower encoder.
type Config struct {
	// Hot is on where a variant that viewers ask for again and again is made once more by a slower encoder, in fewer
	// bytes, as soon as the bytes that it would have spared cost as much as the processor time. off = none is.
	Hot string `yaml:"hot"`
	// PriceCPUHour is the price of an hour of one processor, in USD or in any other currency. 0 = it costs nothing.
	PriceCPUHour float64 `yaml:"price_cpu_hour"`
	// PriceGB is the price of 10^9 bytes sent to viewers, in the same currency. 0 = they cost nothing, and no variant
	// is remade.
	PriceGB float64 `yaml:"price_gb"`

	// MostCPU is the processor time that one remake may be expected to take. Set by the composition root; 0 = any.
	MostCPU time.Duration
}

// Default is the prices of large clouds.
func Default() Config { return Config{Hot: on, PriceCPUHour: 0.04, PriceGB: 0.10} }

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.Hot != on && c.Hot != off {
		errs = append(errs, fmt.Errorf("quality.hot: %q is neither %s nor %s", c.Hot, on, off))
	}
	for name, price := range map[string]float64{"price_cpu_hour": c.PriceCPUHour, "price_gb": c.PriceGB} {
		if !(price >= 0 && price <= maxPrice) { // NaN is neither.
			errs = append(errs, fmt.Errorf("quality.%s: %g is not between 0 and %d", name, price, maxPrice))
		}
	}
	return errors.Join(errs...)
}

// What a remake is expected to come to before any was made, by measurement: see docs/adr/0027-hot-variants.md.
const (
	startRate  = 1.2  // seconds of processor time for a megapixel
	startShare = 0.14 // of the bytes that are spared
)

// What is learned stays within these bounds, and a remake counts for one in so many.
const (
	leastRate, mostRate   = 0.05, 60
	leastShare, mostShare = 0.01, 0.5
	memory                = 16
)

// prices tell what pays, by what remakes came to so far. Safe for concurrent use.
type prices struct {
	cfg Config

	mu          sync.Mutex
	rate, share float64
}

func newPrices(cfg Config) *prices { return &prices{cfg: cfg, rate: startRate, share: startShare} }

// needed is Counter.Needed: the views at which the bytes that were sent in vain cost what the remake does.
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

// learn takes what a remake came to.
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
