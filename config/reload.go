package config

import (
	"reflect"
	"slices"
	"strings"
)

// reloadable are the keys that a reload applies; a section includes all keys below it. Every other key needs a restart:
// a new key takes effect as a whole or not at all until it is listed here. A key that is read partly at the start and
// partly at a reload does not belong here.
func reloadable() []string {
	return []string{
		"api", "signing", "negotiation", "presets", "only_presets", "compat.buckets", "log.level", "memory.limit",
		"origin.allow", "origin.allow_private", "origin.ports", "origin.memory", "origin.per_host", "origin.redirects", "origin.canonical",
		"origin.hosts", "origin.s3", "origin.gs", "origin.local", "origin.aliases", "origin.base_url", "origin.replace",
		"cache.max_age", "cache.first_max_age", "cache.swr",
		"prewarm.select", "prewarm.callbacks", "prewarm.buckets",
	}
}

// isReloadable reports whether a reload applies the key, or the list that it is part of.
func isReloadable(path string) bool {
	return slices.ContainsFunc(reloadable(), func(r string) bool {
		return path == r || strings.HasPrefix(path, r+".") || strings.HasPrefix(path, r+"[]")
	})
}

// Reload returns the configuration in force after a running process with configuration c has read next: the values of
// next for the keys that a reload applies, those of c for all others. taken and restart are the keys of either kind
// whose values differ.
func (c Config) Reload(next Config) (inForce Config, taken, restart []string) {
	inForce = c
	inForce.file = next.file
	theirs := keys(reflect.ValueOf(&next).Elem())
	for i, ours := range keys(reflect.ValueOf(&inForce).Elem()) {
		if !ours.leaf || strings.Contains(ours.path, "[]") || same(ours.value, theirs[i].value) {
			continue
		}
		if !isReloadable(ours.path) {
			restart = append(restart, ours.path)
			continue
		}
		ours.value.Set(theirs[i].value)
		taken = append(taken, ours.path)
	}
	return inForce, taken, restart
}

// same compares two values of one key; nil and an empty list are equal.
func same(a, b reflect.Value) bool {
	if k := a.Kind(); (k == reflect.Slice || k == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
