// Package house is the tests of the repository itself: which package imports which, how large things are, what
// documents promise, name and link to. It has no other code.
package house
