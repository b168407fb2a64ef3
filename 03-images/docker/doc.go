// Package docker moves images between a store and a Docker Engine.
//
// What moves is the archive of docker save and docker load, which every Engine
// since 1.0 writes and reads (package archive): the Engine hands out no blob by
// itself. The client asks which version of the API it speaks and keeps to it.
//
// This folder is the only one of the first chapters that imports Docker's own code.
// The full-size counterparts are moby's image/tarexport and daemon/containerd.
package docker
