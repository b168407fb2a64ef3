// Package screen is where a person reads: it knows whether its writer is a
// terminal, how wide it is, and whether colour is welcome.
//
// Colour only adds to a word that says the same; NO_COLOR, TERM=dumb and a pipe
// turn it off. In a pipe TTY is false and callers print plain lines.
package screen
