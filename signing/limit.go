package signing

import "github.com/goldcrest/goldcrest/invalid"

// Limit bounds a rate: Rate per second in the long run, Burst at once. A Rate of 0 is no limit.
type Limit struct{ Rate, Burst int }

// Or returns l, or other if l is not set. A Burst of 0 becomes two seconds' worth.
func (l Limit) Or(other Limit) Limit {
	if l.Rate == 0 {
		l = other
	}
	if l.Burst == 0 {
		l.Burst = 2 * l.Rate
	}
	return l
}

// Validate reports every invalid value; it calls the keys rate and burst.
func (l Limit) Validate() error {
	var bad invalid.Values
	bad.If(l.Rate < 0 || l.Rate > maxRate, "rate: %d is not from 0 to %d", l.Rate, maxRate)
	bad.If(l.Burst < 0 || l.Burst > 10*maxRate, "burst: %d is not from 0 to %d", l.Burst, 10*maxRate)
	bad.If(l.Rate == 0 && l.Burst > 0, "burst: %d has no meaning without a rate", l.Burst)
	return bad.Err()
}

// maxRate is far beyond what one instance can serve.
const maxRate = 1_000_000
