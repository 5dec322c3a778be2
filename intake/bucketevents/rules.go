package bucketevents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// Rule says what becomes of the objects of a bucket whose keys begin alike. Of several rules that fit an object the one
// with the longest prefix counts.
type Rule struct {
	// Bucket is the bucket's name, as events have it.
	Bucket string `yaml:"bucket"`
	// Prefix is how keys begin. Empty = all keys.
	Prefix string `yaml:"prefix"`
	// Suffixes are how keys end, in any case. Empty = those of images: .jpg, .png, .webp and so on; [""] = all keys.
	Suffixes []string `yaml:"suffixes"`
	// Source is the URL by which viewers ask for the object, with {key} and, if need be, {bucket} in it:
	// "https://photos.example.com/{key}" or "s3://{bucket}/{key}". The key is escaped, but for its slashes.
	Source string `yaml:"source"`
	// Variants are the presets that are made. Empty = prewarm.presets.
	Variants []string `yaml:"variants"`
	// Priority is that of the jobs: low, normal or high. Empty = normal.
	Priority string `yaml:"priority"`
	// WriteOnce says that no object is ever written again under its key: what lands is then not purged before it is
	// prewarmed.
	WriteOnce bool `yaml:"write_once"`
	// PlainKeys says that the keys in notifications are not escaped, as they are by S3. versitygw sends them so.
	PlainKeys bool `yaml:"plain_keys"`
}

// imageSuffixes are how the keys of images end.
var imageSuffixes = []string{
	".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".jxl",
}

// Rules are those of all buckets.
type Rules []Rule

// Validate reports the first rule that cannot work. known says whether there is a preset of a name.
func (all Rules) Validate(known func(preset string) bool) error {
	for i, r := range all {
		if err := r.validate(known); err != nil {
			return fmt.Errorf("prewarm.buckets[%d] (%s): %w", i, r.Bucket, err)
		}
		for _, earlier := range all[:i] {
			if earlier.Bucket == r.Bucket && earlier.Prefix == r.Prefix {
				return fmt.Errorf("prewarm.buckets[%d] (%s): another rule has the prefix %q", i, r.Bucket, r.Prefix)
			}
		}
	}
	return nil
}

func (r Rule) validate(known func(preset string) bool) error {
	if r.Bucket == "" {
		return errors.New("bucket is empty")
	}
	if !strings.Contains(r.Source, "{key}") {
		return fmt.Errorf("source: %q has no {key}", r.Source)
	}
	u, err := url.Parse(r.source(r.Bucket, "a/b.jpg"))
	if err != nil || u.Host == "" || u.User != nil || !slices.Contains([]string{"http", "https", "s3"}, u.Scheme) {
		return fmt.Errorf("source: %q is no http, https or s3 URL", r.Source)
	}
	for _, name := range r.Variants {
		if !known(name) {
			return fmt.Errorf("variants: there is no preset %q", name)
		}
	}
	if !slices.Contains([]string{"", "low", "normal", "high"}, r.Priority) {
		return fmt.Errorf("priority: %q is none of low, normal and high", r.Priority)
	}
	return nil
}

// source is the URL of an object.
func (r Rule) source(bucket, key string) string {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.NewReplacer("{bucket}", bucket, "{key}", strings.Join(parts, "/")).Replace(r.Source)
}

// fits reports whether an object is the rule's.
func (r Rule) fits(bucket, key string) bool {
	if r.Bucket != bucket || !strings.HasPrefix(key, r.Prefix) {
		return false
	}
	suffixes := r.Suffixes
	if len(suffixes) == 0 {
		suffixes = imageSuffixes
	}
	lower := strings.ToLower(key)
	return slices.ContainsFunc(suffixes, func(end string) bool {
		return strings.HasSuffix(lower, strings.ToLower(end))
	})
}

// ruleOf is the rule that counts for an event, and the object's key by it.
func (all Rules) ruleOf(e Event) (rule int, key string, found bool) {
	for i, r := range all {
		k := e.key(r.PlainKeys)
		if r.fits(e.Bucket, k) && (!found || len(r.Prefix) > len(all[rule].Prefix)) {
			rule, key, found = i, k, true
		}
	}
	return rule, key, found
}

// Plan is what is to be done about some events: first the purge, then the calls.
type Plan struct {
	Purge   []string // sources
	Calls   []unit.Call
	Objects int // that are prewarmed
	Ignored int // events that no rule is for
}

// object is one that is to be prewarmed.
type object struct {
	ID     string   `json:"id"`
	Images []string `json:"images"`
}

// Plan says what is to be done about events. Of several about one object the last counts. Each rule gives a call of its
// own, whose units are read with rules.
func (all Rules) Plan(ctx context.Context, events []Event, rules unit.Rules) (p Plan, err error) {
	units, seen := make([][]object, len(all)), map[string]bool{}
	for _, e := range slices.Backward(events) {
		i, key, found := all.ruleOf(e)
		if !found {
			p.Ignored++
			continue
		}
		source := all[i].source(e.Bucket, key)
		if seen[source] {
			continue
		}
		seen[source] = true
		if e.Deleted || !all[i].WriteOnce {
			p.Purge = append(p.Purge, source)
		}
		if !e.Deleted {
			p.Objects++
			units[i] = append(units[i], object{e.Bucket + "/" + key, []string{source}})
		}
	}
	slices.Reverse(p.Purge)
	for i, objects := range units {
		if len(objects) == 0 {
			continue
		}
		call, err := all[i].call(ctx, objects, rules)
		if err != nil {
			return p, err
		}
		p.Calls = append(p.Calls, call)
	}
	return p, nil
}

// call is the prewarm call for the objects of one rule.
func (r Rule) call(ctx context.Context, objects []object, rules unit.Rules) (unit.Call, error) {
	slices.Reverse(objects)
	body, err := json.Marshal(objects)
	if err != nil {
		return unit.Call{}, unreadable("the events cannot be read", err)
	}
	rules.Bodies = nil // A token's readings are those of bodies that it posts itself.
	query := url.Values{"body": {"units"}, "select": {"/images"}, "return": {"none"}}
	if len(r.Variants) > 0 {
		query.Set("variants", strings.Join(r.Variants, ","))
	}
	if r.Priority != "" {
		query.Set("priority", r.Priority)
	}
	call, err := unit.ParseText(ctx, body, "application/json", query, rules)
	// The object has just been written: that it was missing before says nothing.
	call.Again = true
	return call, err
}
