package origin

import (
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
)

// complete detects the type and checks that the picture ends where it should. A picture that lacks only its end marker
// passes if the protocol marks the length: the decoder will see how many rows are there.
func (f *fetch) complete(body []byte, framed bool) (sniff.Info, error) {
	info, err := sniff.Inspect(body)
	if err != nil {
		return sniff.Info{}, err
	}
	if info.Complete {
		return info, nil
	}
	if framed && info.LacksEnd {
		f.client.hooks.Observer.Noted("lacks_eoi")
		return info, nil
	}
	var why error
	if !framed {
		why = errEarly
	}
	return sniff.Info{}, fault.New(fault.TruncatedSource, "origin.complete", "the source ends before its picture does", why)
}
