// Package namespaces runs a process with its own view of the machine.
package namespaces
