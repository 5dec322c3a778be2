// Package transform runs transforms in a pool of worker processes; it knows neither HTTP nor caches nor cgo.
package transform
