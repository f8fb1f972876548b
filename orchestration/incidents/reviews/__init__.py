"""Post-incident reviews: what is known of an incident, put into the form of the playbook's template. Pure."""
