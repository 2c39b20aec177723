// Package sbom
package sbom
