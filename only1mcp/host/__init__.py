"""The process that owns every stdio child, knows what each server offers, and watches them all."""
