package main

import "github.com/spf13/cobra"

func (p *program) pull() *cobra.Command     { return &cobra.Command{Use: "pull"} }
func (p *program) push() *cobra.Command     { return &cobra.Command{Use: "push"} }
func (p *program) build() *cobra.Command    { return &cobra.Command{Use: "build"} }
func (p *program) registry() *cobra.Command { return &cobra.Command{Use: "registry"} }
