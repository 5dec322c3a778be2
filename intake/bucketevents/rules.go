package bucketevents

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// Rule says what to do for the objects of a bucket with a common prefix. Of several rules for an object the one with
// the longest prefix applies.
type Rule struct {
	// Bucket is the bucket's name, as in events.
	Bucket string `yaml:"bucket"`
	// Prefix is the prefix of keys. Empty = all keys.
	Prefix string `yaml:"prefix"`
	// Suffixes are the suffixes of keys, case-insensitive. Empty = those of images: .jpg, .png, .webp and others; [""]
	// = all keys.
	Suffixes []string `yaml:"suffixes"`
	// Source is the object's URL in viewers' requests, with {key} and, if needed, {bucket} in it:
	// "https://photos.example.com/{key}" or "s3://{bucket}/{key}". The key is escaped, except its slashes.
	Source string `yaml:"source"`
	// Variants are the presets to make. Empty = prewarm.presets.
	Variants []string `yaml:"variants"`
	// Priority is the priority of the jobs: low, normal or high. Empty = normal.
	Priority string `yaml:"priority"`
	// WriteOnce says that no object is ever overwritten: a new one is then not purged before it is prewarmed.
	WriteOnce bool `yaml:"write_once"`
	// PlainKeys says that the keys in notifications are not escaped, unlike those of S3. versitygw sends them
	// unescaped.
	PlainKeys bool `yaml:"plain_keys"`
}

// imageSuffixes are the suffixes of images.
var imageSuffixes = []string{
	".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".jxl",
}

// Rules are the rules of all buckets.
type Rules []Rule

// Validate reports every invalid rule. known says whether a preset exists.
func (all Rules) Validate(known func(preset string) bool) error {
	var bad invalid.Values
	for i, r := range all {
		key := fmt.Sprintf("prewarm.buckets[%d] (%s)", i, r.Bucket)
		bad.Add(key, r.validate(known))
		for _, earlier := range all[:i] {
			bad.If(earlier.Bucket == r.Bucket && earlier.Prefix == r.Prefix,
				"%s: another rule has the prefix %q", key, r.Prefix)
		}
	}
	return bad.Err()
}

func (r Rule) validate(known func(preset string) bool) error {
	var bad invalid.Values
	bad.If(r.Bucket == "", "bucket is empty")
	bad.If(!strings.Contains(r.Source, "{key}"), "source: %q has no {key}", r.Source)
	u, err := url.Parse(r.source(r.Bucket, "a/b.jpg"))
	bad.If(err != nil || u.Host == "" || u.User != nil || !slices.Contains([]string{"http", "https", "s3"}, u.Scheme),
		"source: %q is not an http, https or s3 URL", r.Source)
	for _, name := range r.Variants {
		bad.If(!known(name), "variants: there is no preset %q", name)
	}
	bad.If(!slices.Contains([]string{"", "low", "normal", "high"}, r.Priority),
		"priority: %q is none of low, normal and high", r.Priority)
	return bad.Err()
}

// source is the URL of an object.
func (r Rule) source(bucket, key string) string {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.NewReplacer("{bucket}", bucket, "{key}", strings.Join(parts, "/")).Replace(r.Source)
}

// fits reports whether the rule matches an object.
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

// ruleOf is the rule for an event, and the object's key under it.
func (all Rules) ruleOf(e Event) (rule int, key string, found bool) {
	for i, r := range all {
		k := e.key(r.PlainKeys)
		if r.fits(e.Bucket, k) && (!found || len(r.Prefix) > len(all[rule].Prefix)) {
			rule, key, found = i, k, true
		}
	}
	return rule, key, found
}

// Plan is what to do for some events: first the purge, then the calls.
type Plan struct {
	Purge   []string // sources
	Calls   []unit.Call
	Objects int // that are prewarmed
	Ignored int // events without a rule
}

// object is one to prewarm.
type object struct {
	ID     string   `json:"id"`
	Images []string `json:"images"`
}

// Plan plans what to do for events. Of several events for one object the last counts. Each rule makes one call, whose
// units are parsed with rules.
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
	rules.Bodies = nil // the token's bodies are for bodies that it posts itself
	query := url.Values{"body": {"units"}, "select": {"/images"}, "return": {"none"}}
	if len(r.Variants) > 0 {
		query.Set("variants", strings.Join(r.Variants, ","))
	}
	if r.Priority != "" {
		query.Set("priority", r.Priority)
	}
	call, err := unit.ParseText(ctx, body, "application/json", query, rules)
	// The object has just been written, so an earlier verdict does not count.
	call.Again = true
	return call, err
}
